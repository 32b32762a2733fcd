-- Opening a thread to write to it. ARGV: this run's time to live ('' for none); an epoch for a new
-- thread; the salt that the records' checksums were made with: a new thread gets it, one that is
-- there must have it; the epoch that the log must have ('' if any will do), where it must end, where
-- it ends afterwards; segments; whether the thread must be there already; values that must be there.
local RUN_TTL, NEW_EPOCH, NEW_SALT, WANTED, BEGIN, LAST = arg(), arg(), arg(), arg(), arg(), arg()
local SEGMENTS, MUST_EXIST, GRANTED = args(), arg() == '1', args()

if MUST_EXIST and ABSENT then
  return { 'absent' }
end
local missing = {}
for n, name in ipairs(GRANTED) do
  if ABSENT or redis.call('HEXISTS', RECORDS, name) == 0 then
    missing[#missing + 1] = n
  end
end
if #missing > 0 then
  return { 'partial', missing }
end
local fits
if ABSENT then
  fits = WANTED == '' or WANTED == NEW_EPOCH
else
  fits = SALT == NEW_SALT and (WANTED == '' or (EPOCH == WANTED and END == BEGIN))
end
local digests_read = tonumber(arg())
if not fits then
  if ABSENT then
    return { 'other', '', '0' }
  end
  return { 'other', EPOCH, END, newest_digests(digests_read), SALT }
end
if HAS_EXPIRED then
  purge()
end
if ABSENT then
  EPOCH, END, TTL, REVISION, DUE = NEW_EPOCH, '0', '', '0', nil
  redis.call('HSET', RECORDS, 'created', NOW, 'hash_salt', NEW_SALT)
end
if WANTED ~= '' then
  END = LAST
end

local function append_segment(start, digests, data)
  redis.call('HSET', RECORDS, 's' .. start, data, 'd' .. start, digests)
  redis.call('ZADD', ORDER, 0, segment_member(tonumber(start)))
end

-- Bytes that this write replaced, about. They stay until prune or a sweep collects them.
local COLLECT_AT = 1048576 -- a thread with so much garbage is noted for the sweep
local replaced = 0

local function leave(layout)
  replaced = replaced + #layout + (#layout > 5 and struct.unpack('<I4', layout, 2) or 0)
end

-- Notes what was written, in the thread and in the registry.
local function wrote(run, outcome)
  local ttl = RUN_TTL ~= '' and RUN_TTL or TTL
  local minutes = tonumber(ttl ~= '' and ttl or DEFAULT_TTL)
  local due = due_at(minutes)
  redis.call('HSET', RECORDS, 'updated', NOW, 'expires', due, 'ttl', ttl, 'epoch', EPOCH,
    'end', END, 'revision', string.format('%.0f', tonumber(REVISION) + 1))
  if minutes or DUE then
    set_expiry(minutes)
  end
  local overdue = 0
  if UPDATED then
    redis.call('ZADD', UPDATED, NOW, THREAD)
    if minutes then
      redis.call('ZADD', EXPIRES, due, THREAD)
      overdue = redis.call('ZCOUNT', EXPIRES, '(-inf', NOW)
    elseif DUE or ABSENT then
      redis.call('ZREM', EXPIRES, THREAD)
    end
    if run then
      redis.call('ZADD', RUNS, 0, 'r' .. run .. '\0' .. THREAD, 0, 't' .. THREAD .. '\0' .. run)
    end
  end
  local is_noted = 0
  if replaced > 0 and redis.call('HINCRBY', RECORDS, 'garbage', replaced) >= COLLECT_AT then
    is_noted = 1
    if RUNS then
      redis.call('ZADD', RUNS, 0, 'g' .. THREAD)
    end
  end
  return table.concat({ outcome or 'done', EPOCH, END, due, overdue, is_noted }, ' ')
end
