-- Reads a thread's own fields, without its checkpoints.
-- ARGV: '1' to return the members of its order.
-- Reply: nil if it does not exist; only a description of the damage if it is damaged; else when it
-- was created, its expiry ('' for never), its state ('' if it has expired), the members, when it was
-- last written, '1' if a collection of it has begun and not ended.
if DAMAGE then
  return { DAMAGE }
elseif not EPOCH then
  return false
end
local times = redis.call('HMGET', RECORDS, 'created', 'updated')
if not tonumber(times[1] or '') or not tonumber(times[2] or '') then
  return { 'the own record of a thread is damaged' }
end
local names = arg() == '1' and not ABSENT and redis.call('ZRANGE', ORDER, 0, -1) or {}
return { times[1], DUE and state[3] or '', state_now(), names, times[2], JOURNAL and '1' or '' }
