-- Stores pending writes.
-- ARGV: those of write.lua; writes (name, '1' if it replaces a stored one, packed).
-- Reply: as write.lua says; the outcome is 'done', or 'lost' if a write with a large value was
-- dropped because another one of its name is stored.
local writes, ranges, has_lost = args(), {}, false

local function note(first, last)
  ranges[#ranges + 1] = { first, last }
end

for n = 1, #writes, 3 do
  local name, special, packed = writes[n], writes[n + 1] == '1', writes[n + 2]
  local old = redis.call('HGET', RECORDS, name)
  local layout = layout_of_write(packed)
  if not old or special then
    redis.call('HSET', RECORDS, name, packed)
    redis.call('ZADD', ORDER, 0, name)
    note_written(name)
    each_span(layout, note)
    if old and old ~= packed then
      leave((layout_of_write(old)))
    end
  elseif old ~= packed and layout ~= '' then
    has_lost = true
  end
end

local function is_needed(start, data)
  for _, range in ipairs(ranges) do
    if range[1] < start + #data and start < range[2] then
      return true
    end
  end
end

-- Segments that only dropped writes refer to are not stored. 'lost' tells the writer not to cache
-- them.
for n = 1, #SEGMENTS, 3 do
  if not has_lost or is_needed(tonumber(SEGMENTS[n]), SEGMENTS[n + 2]) then
    append_segment(SEGMENTS[n], SEGMENTS[n + 1], SEGMENTS[n + 2])
  end
end
return wrote(has_lost and 'lost' or 'done')
