-- What a thread is.
-- ARGV: whether the names in its order are wanted.
-- Reply: nothing if it is not there; its damage alone if it is damaged; else when it was made, when it
-- expires ('' for never), its state ('' if it has expired), the names.
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
