-- The index of a store: documents of the Query Engine, or a vector set; one for each vector, under
-- its item's name and a number. What goes wrong with it costs the index, and nothing else: searches
-- are exact then. Documents lie in the store's slot, as their names say.
-- Vectors of other dimensions than its own are not in it.
local KIND, SIZE = counters[8], 4 * tonumber(counters[13] or 0)

local function has_failed(told)
  return type(told) == 'table' and told.err
end

local function drop_graph()
  if KIND == 'query' then
    redis.pcall('FT.DROPINDEX', GRAPH, 'DD')
  end
  redis.call('UNLINK', GRAPH)
  redis.call('HDEL', COUNTERS, 'engine', 'kind')
  counters[5] = false
end

-- the namespace of a name and all above it, as words that need no escapes
local function spaces(name)
  local words, at = {}, 0
  local ns = string.sub(name, 1, string.find(name, '\0', 1, true) - 1)
  while true do
    at = string.find(ns, '\1', at + 1, true)
    if not at then
      return table.concat(words, ',')
    end
    words[#words + 1] = redis.sha1hex(string.sub(ns, 1, at))
  end
end

-- how many vectors of an item are in it, and how long their paths are
local function indexed(embedding)
  local count, paths = struct.unpack('<I4I4', embedding)
  return #embedding - 8 - paths == count * SIZE and count or 0, paths
end

local function add_to_graph(name, embedding)
  local count, paths = indexed(embedding)
  for n = 1, count do
    local from = 9 + paths + (n - 1) * SIZE
    local vector, told = string.sub(embedding, from, from + SIZE - 1), nil
    if KIND == 'query' then
      told = redis.pcall('HSET', GRAPH .. ':' .. name .. '\0' .. n, 'v', vector, 'ns', spaces(name))
    else
      told = redis.pcall('VADD', GRAPH, 'FP32', vector, name .. '\0' .. n, 'Q8',
        'EF', counters[7], 'M', counters[6])
    end
    if has_failed(told) then
      drop_graph()
      return
    end
  end
end

local function remove_from_graph(name, embedding)
  for n = 1, (indexed(embedding)) do
    if KIND == 'query' then
      redis.call('UNLINK', GRAPH .. ':' .. name .. '\0' .. n)
    elseif has_failed(redis.pcall('VREM', GRAPH, name .. '\0' .. n)) then
      drop_graph()
      return
    end
  end
end
