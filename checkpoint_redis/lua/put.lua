-- Stores a checkpoint. ARGV: namespace, id, packed record, run ('' for none), values (name, packed).
local ns, id, packed, has_run, run, values = arg(), arg(), arg(), arg() == '1', arg(), args()
local name = 'n' .. ns .. '\0' .. id
local replaced = redis.call('HSETNX', RECORDS, name, packed) == 0
if replaced then
  local _, old = checkpoint_of(redis.call('HGET', RECORDS, name))
  if old then
    redis.call('ZREM', ORDER, 'r' .. old .. '\0' .. ns .. '\0' .. id)
  end
  redis.call('HSET', RECORDS, name, packed)
end
redis.call('ZADD', ORDER, 0, name)
if ns ~= '' then
  redis.call('ZADD', ORDER, 0, 'a' .. id .. '\0' .. ns)
end
if has_run then
  redis.call('ZADD', ORDER, 0, 'r' .. run .. '\0' .. ns .. '\0' .. id)
end
for first = 1, #values, BATCH do
  local last = math.min(first + BATCH - 1, #values)
  local new = redis.call('HSET', RECORDS, unpack(values, first, last))
  replaced = replaced or new < (last - first + 1) / 2
end
local due, overdue = wrote(has_run and run)
if replaced then
  collect(NEW_EPOCH)
end
return { replaced and 'changed' or 'done', EPOCH, END, due, overdue }
