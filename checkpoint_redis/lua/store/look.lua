-- Items that were ranked, if the vectors they were ranked by are still those. ARGV (behind the
-- filter's): the revision of the vectors, the revision of everything ('' if any will do), how many
-- to give, how many changes to tell, names.
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
