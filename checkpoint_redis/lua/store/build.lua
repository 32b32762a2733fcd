-- Adds the vectors of the next items to the server's vector index.
-- ARGV: the last name of the previous call ('' for the first); how many items.
-- Reply: the last name, '' if there are no more items or no index.
if not counters[5] then
  return ''
end
local behind, count = arg(), tonumber(arg())
local low = behind == '' and '-' or '(' .. behind
local names = redis.call('ZRANGEBYLEX', NAMES, low, '+', 'LIMIT', 0, count)
for n, embedding in ipairs(all_of(VECTORS, names)) do
  if embedding and counters[5] then
    add_to_graph(names[n], embedding)
  end
end
if #names == count then
  return names[count]
end
if counters[5] then
  redis.call('HSET', COUNTERS, 'engine', 'ready')
end
return ''
