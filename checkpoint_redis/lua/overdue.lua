-- Threads whose expiry is over, the earliest first.
-- ARGV: now, how many. Reply: (thread, expiry) of each.
require_registry()
return redis.call('ZRANGEBYSCORE', EXPIRES, '(-inf', ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[2])
