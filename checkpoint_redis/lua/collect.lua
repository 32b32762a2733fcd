-- One step of a garbage collection: removes the given records, except those that the journal names
-- (they were written since the collection began) and the values and segments that these refer to. A
-- step that removes segments changes the thread's generation (epoch), so that no writer refers to a
-- removed segment that it still has in its chunk index.
-- ARGV: the journal's id; a new epoch; 'more', 'last', or 'cancel' to remove nothing; now, if the
-- thread had expired when the collection began (else ''); names of checkpoints and writes; names of
-- values; start offsets of segments.
-- Reply: 'done'; 'empty' and the time of the last update if no checkpoint or write was left and the
-- thread was deleted; 'other' if the thread is gone, or its journal is full or replaced: the caller
-- begins again.
require_intact()
local id, epoch, step, now, records, values, segments =
  arg(), arg(), arg(), tonumber(arg()), args(), args(), args()
if ABSENT or id ~= JOURNAL or tonumber(JOURNALLED) >= JOURNAL_SIZE then
  return { 'other' }
end

local kept, ranges = {}, {} -- names of records, and the ranges of the log that they refer to

local function keep_layout(layout)
  each_span(layout, function(first, last) ranges[#ranges + 1] = { first, last } end)
end

local function keep_values(ns, versions)
  each_version(versions, function(channel, version, mark)
    local name = not mark and 'v' .. ns .. '\0' .. channel .. '\0' .. version
    local packed = name and redis.call('HGET', RECORDS, name)
    if packed then
      kept[name] = true
      keep_layout(layout_of_value(packed))
    end
  end)
end

for _, member in ipairs(named('j')) do
  local name = string.sub(member, 2)
  local packed = redis.call('HGET', RECORDS, name)
  kept[name] = true
  if packed and string.sub(name, 1, 1) == 'n' then
    local _, _, versions = checkpoint_of(packed)
    keep_values(string.sub(name, 2, nul_in(name) - 1), versions)
    -- a checkpoint keeps its writes, also those that were stored before the journal began
    for _, write in ipairs(named('w' .. string.sub(name, 2) .. '\0')) do
      kept[write] = true
      keep_layout((layout_of_write(redis.call('HGET', RECORDS, write))))
    end
  elseif packed then
    keep_layout((layout_of_write(packed)))
  end
end

local fields, members = {}, {}

local function remove(name, member)
  fields[#fields + 1], members[#members + 1] = name, member
end

-- Returns the hash field, namespace and id of a checkpoint, given its own name or that of one of
-- its writes.
local function checkpoint_field(name)
  local at = nul_in(name)
  local last = string.find(name, '\0', at + 1, true)
  return 'n' .. string.sub(name, 2, last and last - 1), string.sub(name, 2, at - 1), string.sub(name, at + 1)
end

for _, name in ipairs(records) do
  local checkpoint, ns, checkpoint_id = checkpoint_field(name)
  if not kept[name] and not kept[checkpoint] then
    remove(name, name)
    if name == checkpoint then
      members[#members + 1] = 'a' .. checkpoint_id .. '\0' .. ns
    end
  end
end
for _, name in ipairs(values) do
  if not kept[name] then
    remove(name)
  end
end

local function is_needed(first, last)
  for _, range in ipairs(ranges) do
    if range[1] < last and first < range[2] then
      return true
    end
  end
end

for _, start in ipairs(segments) do
  local first = tonumber(start)
  if not is_needed(first, first + redis.call('HSTRLEN', RECORDS, 's' .. start)) then
    remove('s' .. start, segment_member(first))
    remove('d' .. start)
  end
end
if step == 'last' or step == 'cancel' then
  redis.call('HDEL', RECORDS, 'journal')
  in_batches('ZREM', ORDER, named('j'))
end
if step == 'cancel' then
  return { 'done' }
end
in_batches('HDEL', RECORDS, fields)
in_batches('ZREM', ORDER, members)
redis.call('HINCRBY', RECORDS, 'revision', 1)
if #segments > 0 then
  redis.call('HSET', RECORDS, 'epoch', epoch)
end
if #redis.call('ZRANGEBYLEX', ORDER, '[n', '(o', 'LIMIT', 0, 1) == 0
    and #redis.call('ZRANGEBYLEX', ORDER, '[w', '(x', 'LIMIT', 0, 1) == 0 then
  local updated = redis.call('HGET', RECORDS, 'updated')
  purge()
  return { 'empty', updated }
end
if step == 'last' then
  redis.call('HDEL', RECORDS, 'garbage')
  if now and DUE and DUE <= now then
    redis.call('HSET', RECORDS, 'expires', '')
    redis.call('PERSIST', RECORDS)
    redis.call('PERSIST', ORDER)
  end
end
return { 'done' }
