-- Reads a thread's own fields, its newest checkpoint in the root namespace, and the channels of the
-- writes to it.
-- ARGV: those of expiry.lua; '1' to return the writes to a channel with their values, else '0'; that
-- channel, without a write to which a checkpoint is left out ('' for any); JSON fragments without
-- which it is left out.
-- Reply: nil if the thread does not exist; only a description of the damage if it is damaged; else
-- a response (response.lua), when the thread was created, its expiry ('' for never), its state ('' if
-- it has expired), (task id, channel) of each write.
if DAMAGE then
  return { DAMAGE }
elseif not EPOCH then
  return false
end
local created = redis.call('HGET', RECORDS, 'created')
if not tonumber(created or '') then
  return { 'the own record of a thread is damaged' }
end
require_intact()
local due = DUE and state[3] or ''
if ABSENT then
  return response(created, due, '', {})
end
local whole, sought, fragments = arg() == '1', arg(), args()
local id, packed = checkpoint_at('', '')
local channels, wanted, is_found = {}, {}, sought == ''
if packed and contains(packed, fragments) then
  for _, name in ipairs(named('w\0' .. id .. '\0')) do
    local _, channel = layout_of_write(redis.call('HGET', RECORDS, name))
    local from = nul_in(name, 3) + 1
    channels[#channels + 1] = string.sub(name, from, nul_in(name, from) - 1)
    channels[#channels + 1] = channel
    if channel == sought then
      is_found = true
      wanted[#wanted + 1] = name
    end
  end
  if is_found then
    tell('c', '', id, packed)
    if whole then
      add_records('w', wanted, layout_of_write)
    end
  end
end
return response(created, due, state_now(), is_found and channels or {})
