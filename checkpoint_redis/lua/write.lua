-- Preamble of scripts that write to a thread.
-- ARGV: those of expiry.lua; this run's time to live in minutes ('' for none); an epoch for a new
-- thread; the salt of the records' checksums, which a new thread gets and an existing one must
-- have; the epoch that the log must have ('' for any), the size that it must have, its size after
-- this write; segments (start, digests, data); '1' if the thread must exist; names of values that
-- must exist; how many segments' digests to return if the log is another.
-- Reply: that of `wrote`; or why nothing was stored: 'absent'; 'partial' and the numbers of the
-- values that do not exist; 'other', epoch, log size, newest digests, salt.
require_intact()

-- Returns (start, digests) of up to `count` of the newest segments.
local function newest_digests(count)
  local starts, names, found = {}, {}, {}
  for n, member in ipairs(redis.call('ZREVRANGEBYLEX', ORDER, '(t', '[s', 'LIMIT', 0, count)) do
    starts[n] = string.format('%.0f', (struct.unpack('>I8', member, 2)))
    names[n] = 'd' .. starts[n]
  end
  for first = 1, #names, BATCH do
    local last = math.min(first + BATCH - 1, #names)
    local some = redis.call('HMGET', RECORDS, unpack(names, first, last))
    for n = first, last do
      -- '' for missing digests: the client finds that their checksum is wrong
      found[2 * n - 1], found[2 * n] = starts[n], some[n - first + 1] or ''
    end
  end
  return found
end

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
  EPOCH, END, TTL, REVISION, DUE, JOURNAL = NEW_EPOCH, '0', '', '0', nil, nil
  redis.call('HSET', RECORDS, 'created', NOW, 'hash_salt', NEW_SALT)
end
if WANTED ~= '' then
  END = LAST
end

local function append_segment(start, digests, data)
  redis.call('HSET', RECORDS, 's' .. start, data, 'd' .. start, digests)
  redis.call('ZADD', ORDER, 0, segment_member(tonumber(start)))
end

-- About how many bytes this write replaced. They stay until prune or the sweeper collects them.
local COLLECT_AT = 1048576 -- bytes; with each such multiple the thread is labelled for the sweeper
local replaced = 0

local function leave(layout)
  replaced = replaced + #layout + (#layout > 5 and struct.unpack('<I4', layout, 2) or 0)
end

-- Updates the thread's own fields. Reply, joined by spaces: outcome, epoch, log size, '1' if the
-- thread has another full MiB of garbage, its own time to live in minutes ('' for none).
local function wrote(outcome)
  local ttl = RUN_TTL ~= '' and RUN_TTL or TTL
  local minutes = tonumber(ttl ~= '' and ttl or DEFAULT_TTL)
  redis.call('HSET', RECORDS, 'updated', NOW, 'expires', due_at(minutes), 'ttl', ttl, 'epoch', EPOCH,
    'end', END, 'revision', string.format('%.0f', tonumber(REVISION) + 1))
  if minutes or DUE then
    set_expiry(minutes)
  end
  local is_due = '0'
  if replaced > 0 then
    local garbage = redis.call('HINCRBY', RECORDS, 'garbage', replaced)
    if math.floor(garbage / COLLECT_AT) > math.floor((garbage - replaced) / COLLECT_AT) then
      is_due = '1'
    end
  end
  return table.concat({ outcome, EPOCH, END, is_due, ttl }, ' ')
end
