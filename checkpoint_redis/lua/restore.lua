-- Makes a thread a copy of another, if it is still what it was looked at as.
-- ARGV: of the expiry; the state looked at ('' if it was not there); an epoch; both keys of the original; its
-- time to live.
-- Reply: 'done', or 'other'.
require_intact()
local looked_at, epoch, records, order, ttl = arg(), arg(), arg(), arg(), arg()
if looked_at ~= state_now() then
  return 'other'
end
local minutes = tonumber(ttl ~= '' and ttl or DEFAULT_TTL)
local due = due_at(minutes)
purge()
redis.call('RESTORE', RECORDS, 0, records)
redis.call('RESTORE', ORDER, 0, order)
in_batches('ZREM', ORDER, named('j')) -- a collection of the original
redis.call('HDEL', RECORDS, 'journal')
redis.call('HSET', RECORDS, 'created', NOW, 'updated', NOW, 'expires', due, 'epoch', epoch)
set_expiry(minutes)
return 'done'
