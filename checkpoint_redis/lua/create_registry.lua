-- Makes a part of the registry. ARGV: none. Reply: 1.
redis.call('ZADD', UPDATED, '-inf', MARK)
redis.call('ZADD', EXPIRES, '-inf', MARK)
redis.call('ZADD', LABELS, 0, MARK)
return 1
