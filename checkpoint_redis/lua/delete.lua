-- Deletes a thread, even a damaged one.
-- ARGV: now, to delete it only if it has expired; else ''; the state that it must have ('' for any).
-- Reply: 'gone' if it was deleted, 'absent' if it did not exist, 'there' if it has not expired or has
-- another state; the time of its last update; its expiry ('' for never).
local now, looked_at = tonumber(arg()), arg()
local found = redis.call('HMGET', RECORDS, 'updated', 'expires')
local updated, expires = found[1] or '', tonumber(found[2]) and found[2] or ''
if redis.call('EXISTS', RECORDS, ORDER) == 0 then
  return { 'absent', '', '' }
elseif (now and not (expires ~= '' and tonumber(expires) <= now))
    or (looked_at ~= '' and looked_at ~= state_now()) then
  return { 'there', updated, expires }
end
purge()
return { 'gone', updated, expires }
