-- When a thread was made and when it expires ('' for never); an empty list if it has expired; if it is
-- damaged, the damage alone.
if DAMAGE then
  return { DAMAGE }
elseif not EPOCH then
  return false
elseif HAS_EXPIRED then
  return {}
end
local created = redis.call('HGET', RECORDS, 'created')
if not tonumber(created or '') then
  return { 'the own record of a thread is damaged' }
end
return { created, DUE and state[3] or '' }
