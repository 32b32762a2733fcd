-- Removes a thread if it has expired, also one that is damaged: other threads are removed in the
-- same round trip. ARGV: now. Replies what became of it, and its expiry.
local now = tonumber(arg())
local expires = redis.call('HGET', RECORDS, 'expires') or ''
local due = tonumber(expires)
if redis.call('EXISTS', RECORDS, ORDER) == 0 then
  return { 'absent', '' }
end
if due and due <= now then
  purge()
  return { 'gone', '' }
end
return { 'there', due and expires or '' }
