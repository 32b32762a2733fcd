-- What a copy is made of.
-- ARGV: none.
-- Reply: nothing if the thread is not there; both keys, as the server writes them down; its own time to live;
-- the names in the order; its runs.
require_intact()
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
