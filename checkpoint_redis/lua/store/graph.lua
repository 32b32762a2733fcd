-- The vector set of a store. It has each vector under its item's name and a number. What goes wrong
-- with it costs the index, and nothing else: searches are exact then.
local function drop_graph()
  redis.call('UNLINK', GRAPH)
  redis.call('HDEL', COUNTERS, 'engine')
  counters[5] = false
end

local function add_to_graph(name, embedding)
  local count, paths = struct.unpack('<I4I4', embedding)
  local size = (#embedding - 8 - paths) / count
  for n = 1, count do
    local from = 9 + paths + (n - 1) * size
    local told = redis.pcall('VADD', GRAPH, 'FP32', string.sub(embedding, from, from + size - 1),
      name .. '\0' .. n, 'Q8', 'EF', counters[7] or '200', 'M', counters[6] or '16')
    if type(told) == 'table' and told.err then
      drop_graph()
      return
    end
  end
end

local function remove_from_graph(name, embedding)
  for n = 1, struct.unpack('<I4', embedding) do
    local told = redis.pcall('VREM', GRAPH, name .. '\0' .. n)
    if type(told) == 'table' and told.err then
      drop_graph()
      return
    end
  end
end
