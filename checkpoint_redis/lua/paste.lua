-- Makes a thread a copy of another, if it is still what it was looked at as.
-- ARGV: the state looked at ('' if it was not there), an epoch, both keys of the original, its
-- time to live, its runs.
local looked_at, epoch, records, order, ttl, runs = arg(), arg(), arg(), arg(), arg(), args()
if looked_at ~= state_now() then
  return 'other'
end
local minutes = tonumber(ttl ~= '' and ttl or DEFAULT_TTL)
local due = due_at(minutes)
purge()
redis.call('RESTORE', RECORDS, 0, records)
redis.call('RESTORE', ORDER, 0, order)
redis.call('HSET', RECORDS, 'created', NOW, 'updated', NOW, 'expires', due, 'epoch', epoch)
set_expiry(minutes)
if UPDATED then
  redis.call('ZADD', UPDATED, NOW, THREAD)
  if minutes then
    redis.call('ZADD', EXPIRES, due, THREAD)
  end
  for _, run in ipairs(runs) do
    redis.call('ZADD', RUNS, 0, 'r' .. run .. '\0' .. THREAD, 0, 't' .. THREAD .. '\0' .. run)
  end
end
return 'done'
