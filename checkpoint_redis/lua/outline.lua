-- What a thread has: its state ('' if it is not there), the names in the order.
if ABSENT then
  return { '', {} }
end
return { state_now(), redis.call('ZRANGE', ORDER, 0, -1) }
