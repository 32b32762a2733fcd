-- Removes entries that have expired. ARGV: how many at most, now.
return remove_all(
  redis.call('ZRANGEBYSCORE', EXPIRES, '-inf', ARGV[2], 'LIMIT', 0, tonumber(ARGV[1])))
