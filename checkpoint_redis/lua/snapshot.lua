-- What a copy is made of: both keys, as the server writes them down, its time to live, the names in the
-- order, its runs.
if ABSENT then
  return false
end
local seen, runs = {}, {}
for _, name in ipairs(named('n')) do
  local _, run = checkpoint_of(redis.call('HGET', RECORDS, name))
  if run and not seen[run] then
    seen[run] = true
    runs[#runs + 1] = run
  end
end
local names = redis.call('ZRANGE', ORDER, 0, -1)
return { redis.call('DUMP', RECORDS), redis.call('DUMP', ORDER), TTL, names, runs }
