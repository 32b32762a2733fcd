-- Stores pending writes. ARGV: writes (name, whether the last one counts, packed).
local writes = args()
for n = 1, #writes, 3 do
  local name, special, packed = writes[n], writes[n + 1] == '1', writes[n + 2]
  local old = redis.call('HGET', RECORDS, name)
  if not old or special then
    redis.call('HSET', RECORDS, name, packed)
    redis.call('ZADD', ORDER, 0, name)
  end
  if old and old ~= packed then
    leave((layout_of_write(special and old or packed)))
  end
end
return wrote()
