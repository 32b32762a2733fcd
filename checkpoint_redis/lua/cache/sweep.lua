-- Removes expired entries. ARGV: how many at most, now. Reply: how many.
return remove_all(
  redis.call('ZRANGEBYSCORE', EXPIRES, '-inf', ARGV[2], 'LIMIT', 0, tonumber(ARGV[1])))
