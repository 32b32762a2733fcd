-- Takes or renews a lease.
-- KEYS: the lease. ARGV: its owner; milliseconds from now until its end, which the server's clock
-- decides.
-- Reply: 1; 0 if it has another owner.
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
