-- Lists the threads of one part of the registry that have expired, the earliest first.
-- ARGV: now, how many. Reply: (thread, expiry) of each.
require_registry()
return redis.call('ZRANGEBYSCORE', EXPIRES, '(-inf', ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[2])
