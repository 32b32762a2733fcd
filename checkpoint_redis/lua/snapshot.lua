-- Reads all of a thread, for a copy.
-- ARGV: none.
-- Reply: nil if the thread does not exist; the DUMP of both keys; its own time to live in minutes
-- ('' for none); the members of its order; the run ids of its checkpoints.
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
