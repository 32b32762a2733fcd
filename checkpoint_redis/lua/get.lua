-- One checkpoint. ARGV: whether reading moves the expiry, namespace, id ('' for the newest).
if ABSENT then
  return false
end
local moves, ns, id = arg() == '1', arg(), arg()
if id == '' then
  local start = 'n' .. ns .. '\0'
  local newest = redis.call('ZREVRANGEBYLEX', ORDER, '(' .. start .. '\255', '[' .. start, 'LIMIT', 0, 1)
  if not newest[1] then
    return false
  end
  id = string.sub(newest[1], #start + 1)
end
local packed = redis.call('HGET', RECORDS, 'n' .. ns .. '\0' .. id)
if not packed then
  return false
end
if moves then
  refresh()
end
add_checkpoint(ns, id, packed)
return gathered()
