-- Removes a thread if it has expired. ARGV: now. Replies what became of it, and its expiry.
local now = tonumber(arg())
if not EPOCH then
  return { 'absent', '' }
end
if DUE and DUE <= now then
  purge()
  return { 'gone', '' }
end
return { 'there', DUE and state[3] or '' }
