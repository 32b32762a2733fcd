-- Preamble of the scripts on one thread.
-- KEYS: the thread's records (a hash), and the names of its checkpoints, writes and segments in
-- order (a sorted set with equal scores).
-- ARGV: a thread whose expiry is not after this time reads as absent ('' for none does); then the
-- arguments of the script's other preambles and its own. A list is its length and its elements.
local RECORDS, ORDER = unpack(KEYS)
local BATCH = 2000 -- arguments of one command
local taken = 0

-- Large replies leave garbage in Lua's heap. Redis counts it as used memory until Lua collects it.
-- The scripts themselves take about 300 KB. Collecting takes longer than a small read, hence the
-- threshold.
if collectgarbage('count') > 768 then
  collectgarbage()
end

local function arg()
  taken = taken + 1
  return ARGV[taken]
end

local function args()
  local list = {}
  for n = 1, tonumber(arg()) do
    list[n] = arg()
  end
  return list
end

local HORIZON = tonumber(arg())

-- Ends the script with an error that the client raises as CorruptValueError with the thread's key.
local function corrupt(why)
  error('CORRUPT ' .. why, 0)
end

-- Returns the position of the next NUL in a name.
local function nul_in(name, from)
  return string.find(name, '\0', from or 1, true) or corrupt('a name in the order of a thread is damaged')
end

local function in_batches(command, key, list)
  for first = 1, #list, BATCH do
    redis.call(command, key, unpack(list, first, math.min(first + BATCH - 1, #list)))
  end
end

-- Returns the members of the thread's order that begin with `start`.
local function named(start)
  return redis.call('ZRANGEBYLEX', ORDER, '[' .. start, '(' .. start .. '\255')
end

-- Returns a segment's member of the order. Big-endian, so that members sort by offset.
local function segment_member(start)
  return 's' .. struct.pack('>I8', start)
end

local function purge()
  redis.call('UNLINK', RECORDS, ORDER)
end

-- The thread's own fields. DAMAGE is set if the server has evicted one of the thread's two keys.
local state = redis.call('HMGET', RECORDS, 'epoch', 'end', 'expires', 'ttl', 'revision', 'hash_salt',
  'journal')
local EPOCH, END, TTL, REVISION, SALT = state[1], state[2], state[4], state[5], state[6]
local JOURNAL, JOURNALLED = string.match(state[7] or '', '^(%d+) (%d+)$')
local DUE = tonumber(state[3])
local DAMAGE
if (EPOCH and 1 or 0) ~= redis.call('EXISTS', ORDER) then
  DAMAGE = 'one of the two keys of a thread is gone'
end
local HAS_EXPIRED = DUE and HORIZON and DUE <= HORIZON
local ABSENT = not EPOCH or HAS_EXPIRED

-- Returns a token that changes with every write to the thread, '' if the thread is absent. It has
-- the epoch because a thread that was deleted and created again may have the same revision.
local function state_now()
  return ABSENT and '' or EPOCH .. ' ' .. REVISION
end

local function is_count(text)
  return text and string.find(text, '^%d+$')
end

local function is_number_or_empty(text)
  return text and (text == '' or tonumber(text))
end

-- Fails if one of the two keys is gone, or if one of the thread's own fields is missing or
-- malformed: these fields have no checksum.
local function require_intact()
  if DAMAGE then
    corrupt(DAMAGE)
  elseif EPOCH and not (SALT and is_count(EPOCH) and is_count(END) and is_count(REVISION)
      and is_number_or_empty(state[3]) and is_number_or_empty(TTL)) then
    corrupt('the own record of a thread is damaged')
  end
end

-- While a collection runs, writers note the names of the records that they write in its journal, up
-- to this many. A collection that finds its journal full or replaced begins again.
local JOURNAL_SIZE = 1000

local function note_written(name)
  if JOURNAL and tonumber(JOURNALLED) < JOURNAL_SIZE then
    redis.call('ZADD', ORDER, 0, 'j' .. name)
    JOURNALLED = JOURNALLED + 1
    redis.call('HSET', RECORDS, 'journal', JOURNAL .. ' ' .. string.format('%.0f', JOURNALLED))
  end
end
