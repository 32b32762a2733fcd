-- Keeping count of vectors, of whose changed, and their index.
local KEPT = 20000
local vectors, embedded = tonumber(counters[2] or 0), tonumber(counters[3] or 0)

local function forget_vectors(name)
  local old = redis.call('HGET', VECTORS, name)
  if not old then
    return false
  end
  redis.call('HDEL', VECTORS, name)
  vectors, embedded = vectors - struct.unpack('<I4', old), embedded - 1
  if counters[5] then
    remove_from_graph(name, old)
  end
  return true
end

local function keep_vectors(name, embedding)
  redis.call('HSET', VECTORS, name, embedding)
  vectors, embedded = vectors + struct.unpack('<I4', embedding), embedded + 1
  if counters[5] then
    add_to_graph(name, embedding)
  end
end

local function changed(name)
  redis.call('ZADD', CHANGES, REVISION, name)
end

local function remove(name)
  local old = #PATHS > 0 and redis.call('HGET', ITEMS, name)
  if old then
    unlist(name, old)
  end
  if redis.call('HDEL', ITEMS, name) == 1 then
    redis.call('ZREM', NAMES, name)
    redis.call('ZREM', UPDATED, name)
    redis.call('ZREM', EXPIRES, name)
    if forget_vectors(name) then
      changed(name)
    end
  end
end

local function note()
  redis.call('HSET', COUNTERS, 'revision', string.format('%.0f', REVISION), 'vectors', vectors,
    'embedded', embedded)
  if #PATHS > 0 then
    note_fields()
  end
  local surplus = redis.call('ZCARD', CHANGES) - KEPT
  if surplus > 0 then
    local last = redis.call('ZRANGE', CHANGES, surplus - 1, surplus - 1, 'WITHSCORES')
    redis.call('HSET', COUNTERS, 'trimmed', last[2])
    redis.call('ZREMRANGEBYRANK', CHANGES, 0, surplus - 1)
  end
end
