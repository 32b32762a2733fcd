-- Preamble of scripts that change items: keeps the counters, the list of items whose vectors
-- changed (the last 20,000), the index of declared fields and the server's vector index up to date.
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

-- Returns which vectors of an item stay valid if it is put with these texts { fields, digests }:
-- 'all', the packed vectors that do, or nil. A vector of a field that is not in `texts` is added to
-- `others`.
local function unchanged(name, texts, others)
  local old, embedding = redis.call('HGET', ITEMS, name), redis.call('HGET', VECTORS, name)
  if not embedding or not is_shown(old) then
    return nil
  end
  local fields, digests = {}, {}
  for _, field in ipairs(texts.fields) do
    fields[field] = true
  end
  for _, digest in ipairs(texts.digests) do
    digests[digest] = true
  end
  local count, length = struct.unpack('<I4I4', embedding)
  local size = (#embedding - 8 - length) / count
  local some, parts = {}, {}
  for n, text in ipairs(cjson.decode(string.sub(embedding, 9, 8 + length))) do
    if not fields[text[1]] then
      others[#others + 1], others[#others + 2] = name, text[1]
    elseif digests[text[2]] then
      local from = 9 + length + (n - 1) * size
      some[#some + 1], parts[#parts + 1] = text, string.sub(embedding, from, from + size - 1)
    end
  end
  if #some == count then
    return 'all'
  elseif #some == 0 then
    return nil
  end
  local json = cjson.encode(some)
  return struct.pack('<I4I4', #some, #json) .. json .. table.concat(parts)
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
