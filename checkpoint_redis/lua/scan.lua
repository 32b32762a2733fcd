-- Scans some of a thread's records (HSCAN).
-- ARGV: the cursor ('0' to begin); about how many records; '1' to return them for a collection.
-- Reply: nil if the thread does not exist; an empty list if it has expired; else the next cursor
-- ('0' at the end); the numbers of checkpoints, values, segments and writes, and their bytes;
-- (name, detail, run) of each record, where the detail is a checkpoint's versions, a segment's
-- size, or the layout of a value or write, and the run is a checkpoint's label ('' for none).
local cursor, count, is_collecting = arg(), arg(), arg() == '1'
if is_collecting then
  require_intact()
end
if not EPOCH and not DAMAGE then
  return false
elseif HAS_EXPIRED and not is_collecting then
  return {}
end
local counts, bytes, found = { n = 0, v = 0, s = 0, d = 0, w = 0 }, 0, {}

local function note(...)
  for n = 1, select('#', ...) do
    found[#found + 1] = select(n, ...)
  end
end

local details = {
  n = function(name, packed)
    local _, run, versions = checkpoint_of(packed)
    note(name, versions, run and 'r' .. run or '')
  end,
  v = function(name, packed) note(name, layout_of_value(packed), '') end,
  w = function(name, packed) note(name, (layout_of_write(packed)), '') end,
  s = function(name, data) note(name, tostring(#data), '') end,
  d = function() end,
}
local reply = redis.call('HSCAN', RECORDS, cursor, 'COUNT', count)
local fields = reply[2]
for n = 1, #fields, 2 do
  local name, packed = fields[n], fields[n + 1]
  local kind = string.sub(name, 1, 1)
  if counts[kind] then
    counts[kind] = counts[kind] + 1
    bytes = bytes + #name + #packed
    if is_collecting then
      details[kind](name, packed)
    end
  end
end
return { reply[1], { counts.n, counts.v, counts.s, counts.w, bytes }, found }
