-- A thread was read since its expiry was noted. ARGV: the thread, the expiry seen, the real one ('').
local now = redis.call('ZSCORE', EXPIRES, ARGV[1])
if now and tonumber(now) == tonumber(ARGV[2]) then
  if ARGV[3] ~= '' then
    redis.call('ZADD', EXPIRES, ARGV[3], ARGV[1])
  else
    redis.call('ZREM', EXPIRES, ARGV[1])
  end
end
return 1
