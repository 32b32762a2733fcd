-- Stores a checkpoint.
-- ARGV: of a write; namespace, id, packed record, values (name, packed).
-- Reply: of a write.
local ns, id, packed, values = arg(), arg(), arg(), args()
local name = 'n' .. ns .. '\0' .. id
local old = redis.call('HGET', RECORDS, name)
local is_same = old == packed -- as when a put is tried again
if old and not is_same then
  local _, _, versions = checkpoint_of(old)
  replaced = #versions -- whatever values only the old one had
end
for n = 1, #SEGMENTS, 3 do
  append_segment(SEGMENTS[n], SEGMENTS[n + 1], SEGMENTS[n + 2])
end
redis.call('HSET', RECORDS, name, packed)
redis.call('ZADD', ORDER, 0, name)
note_written(name)
if ns ~= '' then
  redis.call('ZADD', ORDER, 0, 'a' .. id .. '\0' .. ns)
end
for first = 1, #values, BATCH do
  local last = math.min(first + BATCH - 1, #values)
  local new = redis.call('HSET', RECORDS, unpack(values, first, last))
  if new < (last - first + 1) / 2 and not is_same then -- about as much as the new ones
    for n = first + 1, last, 2 do
      leave(layout_of_value(values[n]))
    end
  end
end
return wrote('done')
