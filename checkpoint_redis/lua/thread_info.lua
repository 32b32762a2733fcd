-- Reads a thread's own fields, without its checkpoints.
-- ARGV: '1' to return the members of its order.
-- Reply: nil if it does not exist; only a description of the damage if it is damaged; else when it
-- was created, its expiry ('' for never), its state ('' if it has expired), the members.
if DAMAGE then
  return { DAMAGE }
elseif not EPOCH then
  return false
end
local created = redis.call('HGET', RECORDS, 'created')
if not tonumber(created or '') then
  return { 'the own record of a thread is damaged' }
end
local names = arg() == '1' and not ABSENT and redis.call('ZRANGE', ORDER, 0, -1) or {}
return { created, DUE and state[3] or '', state_now(), names }
