-- Replaces a thread by a copy of another, if its state is still the one that the caller has seen.
-- ARGV: those of expiry.lua; that state ('' if the thread did not exist); a new epoch; the DUMP of
-- both keys of the source; the source's own time to live in minutes ('' for none).
-- Reply: 'done', or 'other' if the state has changed.
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
in_batches('ZREM', ORDER, named('j')) -- the journal of a collection of the source
redis.call('HDEL', RECORDS, 'journal')
redis.call('HSET', RECORDS, 'created', NOW, 'updated', NOW, 'expires', due, 'epoch', epoch)
set_expiry(minutes)
return 'done'
