-- Preamble of all scripts of a store.
-- KEYS: the items (a hash); their names sorted by name, by negated update time, by expiry (sorted
-- sets); their vectors (a hash); names of items by the revision that changed their vectors (a
-- sorted set); counters (a hash); the server's vector index (a vector set, or the name of a Query
-- Engine index); the index of declared fields (a sorted set).
-- ARGV: an item whose expiry is not after this time reads as absent ('' for none does); now; then
-- the arguments of the script's other preambles and its own. A list is its length and its elements.
local ITEMS, NAMES, UPDATED, EXPIRES, VECTORS, CHANGES, COUNTERS, GRAPH, FIELDS = unpack(KEYS)
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
  local list, count = {}, tonumber(arg())
  for n = 1, count do
    list[n] = ARGV[taken + n]
  end
  taken = taken + count
  return list
end

local HORIZON, NOW = tonumber(arg()), tonumber(arg())

local counters = redis.call('HMGET', COUNTERS, 'revision', 'vectors', 'embedded', 'trimmed',
  'engine', 'm', 'ef', 'kind', 'fields', 'paths', 'complete', 'cursor', 'dims', 'metric')
local REVISION = tonumber(counters[1] or 0)
local total = redis.call('HLEN', ITEMS)
if total ~= redis.call('ZCARD', NAMES) or total ~= redis.call('ZCARD', UPDATED)
    or (total > 0 and not counters[1])
    or tonumber(counters[3] or 0) ~= redis.call('HLEN', VECTORS)
    or tonumber(counters[9] or 0) ~= redis.call('ZCARD', FIELDS) then
  return redis.error_reply('CORRUPT a key of the store is gone')
end

-- A packed item: created, updated, expires (infinite: never), ttl in minutes (0: none), the length
-- of its filter keys, the filter keys as JSON, the value.
local function filter_keys(packed)
  return cjson.decode(string.sub(packed, 37, 36 + struct.unpack('<I4', packed, 33)))
end

local function is_shown(packed)
  return not HORIZON or struct.unpack('<d', packed, 17) > HORIZON
end

-- Refreshes an item's expiry, if that moves it by more than a threshold
-- (checkpoint_base.saver.ttl.policy.refresh_threshold). Returns the packed item.
local function refreshed(name, packed)
  local ttl = struct.unpack('<d', packed, 25)
  if ttl == 0 then
    return packed
  end
  local due = NOW + ttl * 60
  local moved_by = math.abs(due - struct.unpack('<d', packed, 17))
  if moved_by <= math.min(math.max(1.2 * ttl, 1), 30 * ttl) then
    return packed
  end
  local moved = string.sub(packed, 1, 16) .. struct.pack('<d', due) .. string.sub(packed, 25)
  redis.call('ZADD', EXPIRES, string.format('%.17g', due), name)
  redis.call('HSET', ITEMS, name, moved)
  return moved
end

-- The same for reads: if the server refuses (a replica, out of memory, a user without write
-- permission), the expiry stays, and `not_moved` has the error.
local not_moved = ''
local function refreshed_if_possible(name, packed)
  local is_moved, told = pcall(refreshed, name, packed)
  if not is_moved then
    not_moved = type(told) == 'table' and told.err or told
    return packed
  end
  return told
end

-- Joins strings, each after its length: clients parse one string faster than hundreds.
local function joined(list)
  local parts, pack = {}, struct.pack
  for n = 1, #list do
    local one = list[n] or ''
    parts[2 * n - 1], parts[2 * n] = pack('<I4', #one), one
  end
  return table.concat(parts)
end

local function in_batches(command, key, list)
  for first = 1, #list, BATCH do
    redis.call(command, key, unpack(list, first, math.min(first + BATCH - 1, #list)))
  end
end

local function all_of(key, names)
  if #names > 0 and #names <= BATCH then
    return redis.call('HMGET', key, unpack(names))
  end
  local found = {}
  for first = 1, #names, BATCH do
    local last = math.min(first + BATCH - 1, #names)
    local some = redis.call('HMGET', key, unpack(names, first, last))
    for n = first, last do
      found[n] = some[n - first + 1]
    end
  end
  return found
end
