-- Items with vectors near one. ARGV (behind the filter's): the namespace they are in, the vector, how
-- many vectors to look at, how many candidates the index keeps. Replies how many vectors it found, how
-- many there are, (name, packed, vectors) of each item that may match; false: there is no index.
local ns, query, count, ef = arg(), arg(), arg(), arg()
if counters[5] ~= 'set' then
  return false
end
local told = redis.pcall('VSIM', GRAPH, 'FP32', query, 'COUNT', count, 'EF', ef)
if told.err then
  return false
end
local seen, names, found = {}, {}, {}
for _, element in ipairs(told) do
  local name = string.match(element, '^(.*)%z%d+$')
  if not seen[name] then
    seen[name] = true
    if string.sub(name, 1, #ns) == ns then
      names[#names + 1] = name
    end
  end
end
local items, embeddings = all_of(ITEMS, names), all_of(VECTORS, names)
for n, name in ipairs(names) do
  if items[n] and embeddings[n] and may_match(items[n]) then
    found[#found + 1], found[#found + 2], found[#found + 3] = name, items[n], embeddings[n]
  end
end
return { #told, tonumber(counters[2]), found }
