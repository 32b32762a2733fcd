-- What a copy is made of: both keys, as the server writes them down, and the names in the order.
if ABSENT then
  return false
end
return { redis.call('DUMP', RECORDS), redis.call('DUMP', ORDER), TTL, redis.call('ZRANGE', ORDER, 0, -1) }
