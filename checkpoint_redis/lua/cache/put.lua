-- Stores entries. ARGV: now; (id, expiry or 'inf', packed expiry and data) of each. Reply: 0.
local now = ARGV[1]
for n = 2, #ARGV, 3 do
  local id, due, packed = ARGV[n], ARGV[n + 1], ARGV[n + 2]
  local before = redis.call('HSTRLEN', ENTRIES, id)
  local more = #packed - (before > 0 and before or HEAD)
  redis.call('HSET', ENTRIES, id, packed)
  redis.call('HINCRBY', ENTRIES, 'bytes', more)
  redis.call('ZADD', NAMES, 0, id)
  redis.call('ZADD', STORED, now, id)
  if due == 'inf' then
    redis.call('ZREM', EXPIRES, id)
  else
    redis.call('ZADD', EXPIRES, due, id)
  end
end
return 0
