-- What every script of a thread begins with.
-- KEYS: the thread's records (a hash) and their order (a sorted set); where they can be reached
-- in the same script, the registry that has the thread: by update, by expiry, by run.
-- ARGV: the thread's id, the time until which expired threads are absent ('' for none), …
local RECORDS, ORDER, UPDATED, EXPIRES, RUNS = unpack(KEYS)
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

local THREAD, HORIZON = arg(), tonumber(arg())

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

local function forget_run(run)
  redis.call('ZREM', RUNS, 'r' .. run .. '\0' .. THREAD, 't' .. THREAD .. '\0' .. run)
end

-- a segment's name in the order: the newest is the last
local function segment_member(start)
  return 's' .. struct.pack('>I8', start)
end

local function purge()
  redis.call('UNLINK', RECORDS, ORDER)
  if UPDATED then
    redis.call('ZREM', UPDATED, THREAD)
    redis.call('ZREM', EXPIRES, THREAD)
    redis.call('ZREM', RUNS, 'g' .. THREAD)
    local start = 't' .. THREAD .. '\0'
    for _, member in ipairs(redis.call('ZRANGEBYLEX', RUNS, '[' .. start, '(' .. start .. '\255')) do
      forget_run(string.sub(member, #start + 1))
    end
  end
end
