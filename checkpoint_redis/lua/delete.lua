-- Removes all of a thread, also one that is damaged.
-- ARGV: now, to remove it only if it has expired; else ''.
-- Reply: 'absent', 'gone' or 'there'; when it was last written to; when it expires ('' for never).
local now = tonumber(arg())
local found = redis.call('HMGET', RECORDS, 'updated', 'expires')
local updated, expires = found[1] or '', tonumber(found[2]) and found[2] or ''
if redis.call('EXISTS', RECORDS, ORDER) == 0 then
  return { 'absent', '', '' }
elseif now and not (expires ~= '' and tonumber(expires) <= now) then
  return { 'there', updated, expires }
end
purge()
return { 'gone', updated, expires }
