-- Preamble of the scripts on one thread.
-- KEYS: the thread's records (a hash), and their order (a sorted set).
-- ARGV: the time until which expired threads are absent ('' for none), then what each script says.
local RECORDS, ORDER = unpack(KEYS)
local BATCH = 2000 -- arguments of one command
local taken = 0

-- Large replies leave garbage in Lua, which Redis collects by and by and counts as used memory until
-- then. All scripts themselves take about 300 KB, and to collect takes longer than a small read.
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

-- Ends the script; the caller gets a CorruptValueError, with the thread's key.
local function corrupt(why)
  error('CORRUPT ' .. why, 0)
end

-- where the next NUL of a name is
local function nul_in(name, from)
  return string.find(name, '\0', from or 1, true) or corrupt('a name in the order of a thread is damaged')
end

local function in_batches(command, key, list)
  for first = 1, #list, BATCH do
    redis.call(command, key, unpack(list, first, math.min(first + BATCH - 1, #list)))
  end
end

-- all that begins with `start`, in order
local function named(start)
  return redis.call('ZRANGEBYLEX', ORDER, '[' .. start, '(' .. start .. '\255')
end

-- a segment's name in the order: the newest is the last
local function segment_member(start)
  return 's' .. struct.pack('>I8', start)
end

local function purge()
  redis.call('UNLINK', RECORDS, ORDER)
end

-- The thread's own record, and whether the server has evicted a part of the thread: one of its two
-- keys is there without the other.
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

-- What a thread was looked at as, '' if it was not there. A thread that was deleted and made anew
-- has the same revisions again, but another epoch.
local function state_now()
  return ABSENT and '' or EPOCH .. ' ' .. REVISION
end

local function is_count(text)
  return text and string.find(text, '^%d+$')
end

local function is_number_or_empty(text)
  return text and (text == '' or tonumber(text))
end

-- For scripts that need all of the thread. Its own record has no checksum: what scripts and the caller
-- calculate with must be there.
local function require_intact()
  if DAMAGE then
    corrupt(DAMAGE)
  elseif EPOCH and not (SALT and is_count(EPOCH) and is_count(END) and is_count(REVISION)
      and is_number_or_empty(state[3]) and is_number_or_empty(TTL)) then
    corrupt('the own record of a thread is damaged')
  end
end

-- While a collection is under way, writers note the names that they write, up to so many: a journal that
-- is full, or has another id, tells the collection to begin anew.
local JOURNAL_SIZE = 1000

local function note_written(name)
  if JOURNAL and tonumber(JOURNALLED) < JOURNAL_SIZE then
    redis.call('ZADD', ORDER, 0, 'j' .. name)
    JOURNALLED = JOURNALLED + 1
    redis.call('HSET', RECORDS, 'journal', JOURNAL .. ' ' .. string.format('%.0f', JOURNALLED))
  end
end
