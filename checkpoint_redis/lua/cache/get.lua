-- Reads entries. ARGV: now, ids. Reply: (expiry and data) of each, '' if it is missing or expired.
local found, now = {}, tonumber(ARGV[1])
for n = 2, #ARGV do
  local packed = redis.call('HGET', ENTRIES, ARGV[n])
  local is_shown = packed and struct.unpack('<d', packed) > now
  found[n - 1] = is_shown and packed or ''
end
return found
