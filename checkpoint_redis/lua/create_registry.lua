-- Creates one part of the registry, if it does not exist. ARGV: none. Reply: 1.
redis.call('ZADD', UPDATED, '-inf', MARK)
redis.call('ZADD', EXPIRES, '-inf', MARK)
redis.call('ZADD', LABELS, 0, MARK)
return 1
