-- Stores a checkpoint.
-- ARGV: those of write.lua; namespace, id, packed record, values (name, packed).
-- Reply: as write.lua says; the outcome is 'done'.
local ns, id, packed, values = arg(), arg(), arg(), args()
local name = 'n' .. ns .. '\0' .. id
local old = redis.call('HGET', RECORDS, name)
local is_same = old == packed -- a retry of the same put
if old and not is_same then
  local _, _, versions = checkpoint_of(old)
  replaced = #versions -- a rough count: the values that only the old checkpoint had are garbage
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
  if new < (last - first + 1) / 2 and not is_same then
    -- count the replaced values as if they were as large as the new ones
    for n = first + 1, last, 2 do
      leave(layout_of_value(values[n]))
    end
  end
end
return wrote('done')
