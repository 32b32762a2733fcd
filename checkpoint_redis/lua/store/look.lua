-- Reads items that the client ranked by its cached vectors, if these are up to date.
-- ARGV: those of filters.lua; the revision of the cached vectors; the revision that the store must
-- have ('' for any); how many items to return; how many changed items to return at most; names by
-- rank.
-- Reply: a word, the store's revision, and more: 'here', the places of items in the list of names,
-- counted from 0, and the packed items; 'changed', names of items whose vectors changed, and their
-- vectors; 'all' if too many changed; 'other' if the store has another revision.
local known, expected = tonumber(arg()), arg()
local count, most, names = tonumber(arg()), tonumber(arg()), args()
if known < tonumber(counters[4] or 0) or redis.call('ZCOUNT', CHANGES, '(' .. known, '+inf') > most then
  return { 'all', REVISION }
end
local changes = redis.call('ZRANGEBYSCORE', CHANGES, '(' .. known, '+inf')
if #changes > 0 then
  return { 'changed', REVISION, changes, all_of(VECTORS, changes) }
end
if expected ~= '' and tonumber(expected) ~= REVISION then
  return { 'other', REVISION }
end
local found, places = {}, {}
for first = 1, #names, 64 do
  local part = {}
  for n = first, math.min(first + 63, #names) do
    part[#part + 1] = names[n]
  end
  local some = redis.call('HMGET', ITEMS, unpack(part))
  for n, name in ipairs(part) do
    if some[n] and may_match(some[n]) then
      places[#places + 1] = first + n - 2
      found[#found + 1] = some[n]
      if #found == count then
        return { 'here', REVISION, places, found }
      end
    end
  end
end
return { 'here', REVISION, places, found }
