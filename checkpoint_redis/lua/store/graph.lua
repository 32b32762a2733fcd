-- Preamble of scripts that keep the server's vector index up to date. It has a document (Query
-- Engine) or an element (vector set) for each vector, named after its item and a number. If a
-- command on it fails, the index is dropped, and searches rank all vectors instead. Documents are
-- in the store's slot because their names begin with its hash tag. Vectors of other dimensions are
-- left out.
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

-- Returns the namespace of a name and its parents, as digests, which need no escapes in a tag.
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

-- Returns how many vectors of an item are in the index, and the length of the JSON before them.
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
