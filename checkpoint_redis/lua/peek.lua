-- When a thread was made and when it expires ('' for never); nothing of both if it has expired.
if not EPOCH then
  return false
end
if HAS_EXPIRED then
  return {}
end
return { redis.call('HGET', RECORDS, 'created'), DUE and state[3] or '' }
