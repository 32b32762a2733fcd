-- Items with vectors near one. ARGV (behind the filter's): the namespace they are in, the vector, its
-- metric, how many vectors to look at, how many candidates the index keeps. Replies how many vectors it
-- found, how many there are, those of other dimensions among them, (name, packed, vectors) of each item
-- that may match; false: there is no index of such vectors.
local ns, query, metric, count, ef = arg(), arg(), arg(), arg(), arg()
if counters[5] ~= 'ready' or #query ~= 4 * tonumber(counters[13] or 0) or counters[14] ~= metric then
  return false
end
local told, first, cut = nil, 1, 0
if counters[8] == 'query' then
  local within = ns == '' and '*' or '(@ns:{' .. redis.sha1hex(ns) .. '})'
  local text = string.format('%s=>[KNN %d @v $q EF_RUNTIME %d]', within, count, ef)
  told = redis.pcall('FT.SEARCH', GRAPH, text, 'PARAMS', 2, 'q', query, 'NOCONTENT',
    'LIMIT', 0, count, 'DIALECT', 2)
  first, cut = 2, #GRAPH + 1
else
  told = redis.pcall('VSIM', GRAPH, 'FP32', query, 'COUNT', count, 'EF', ef)
end
if told.err then
  return false
end
local seen, names, found, elements = {}, {}, {}, 0
for n = first, #told do
  local element = string.sub(told[n], cut + 1)
  if not seen[element] then
    seen[element], elements = true, elements + 1
  end
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
return { elements, tonumber(counters[2]), found }
