-- What a thread has: its revision ('' if it is not there), the names in the order.
if ABSENT then
  return { '', {} }
end
return { REVISION, redis.call('ZRANGE', ORDER, 0, -1) }
