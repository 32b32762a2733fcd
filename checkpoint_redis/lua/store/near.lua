-- Finds the items nearest to a vector in the server's vector index.
-- ARGV: those of filters.lua; namespace prefix, query vector, metric, how many vectors to find
-- (KNN), how many candidates the index keeps (EF).
-- Reply: how many vectors it found; how many vectors the store has, with those of other dimensions;
-- (name, packed, vectors) of each item that may match; the same of the items as far away as the
-- farthest vector found, as the index may have left out others at that distance. Nil if the search
-- fails, or the store has no index of this metric and these dimensions that is ready.
local ns, query, metric, count, ef = arg(), arg(), arg(), arg(), arg()
if counters[5] ~= 'ready' or #query ~= 4 * tonumber(counters[13] or 0) or counters[14] ~= metric then
  return false
end
local told
local near = {} -- { element, distance }; for a vector set, the negated similarity
if counters[8] == 'query' then
  local within = ns == '' and '*' or '(@ns:{' .. redis.sha1hex(ns) .. '})'
  local text = string.format('%s=>[KNN %d @v $q EF_RUNTIME %d]', within, count, ef)
  told = redis.pcall('FT.SEARCH', GRAPH, text, 'PARAMS', 2, 'q', query, 'RETURN', 1, '__v_score',
    'LIMIT', 0, count, 'DIALECT', 2)
  for n = 2, #told, 2 do
    local distance = told[n + 1] and tonumber(told[n + 1][2]) -- nil: the document is gone
    if distance then
      near[#near + 1] = { string.sub(told[n], #GRAPH + 2), distance }
    end
  end
else
  told = redis.pcall('VSIM', GRAPH, 'FP32', query, 'COUNT', count, 'EF', ef, 'WITHSCORES')
  for n = 1, #told, 2 do
    near[#near + 1] = { told[n], -tonumber(told[n + 1]) }
  end
end
if told.err then
  return false
end
local seen, names, nearest, farthest, elements = {}, {}, {}, -math.huge, 0
for _, one in ipairs(near) do
  local element, distance = one[1], one[2]
  if not seen[element] then
    seen[element], elements = true, elements + 1
  end
  farthest = math.max(farthest, distance)
  local name = string.match(element, '^(.*)%z%d+$')
  nearest[name] = math.min(nearest[name] or math.huge, distance)
  if not seen[name] then
    seen[name] = true
    if string.sub(name, 1, #ns) == ns then
      names[#names + 1] = name
    end
  end
end
local items, embeddings = all_of(ITEMS, names), all_of(VECTORS, names)
local sure, doubtful = {}, {}
for n, name in ipairs(names) do
  if items[n] and embeddings[n] and may_match(items[n]) then
    local found = nearest[name] < farthest and sure or doubtful
    found[#found + 1], found[#found + 2], found[#found + 3] = name, items[n], embeddings[n]
  end
end
return { elements, tonumber(counters[2] or 0), sure, doubtful }
