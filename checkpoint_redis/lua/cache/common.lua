-- What every script of a cache begins with.
-- KEYS: entries (a hash: id -> expiry as a double, infinite for none, and data; and the field
-- 'bytes', how many bytes of data they have), their ids in order, by when they were stored, by when
-- they expire (sorted sets). A server that evicts keys may have removed any of them.
local ENTRIES, NAMES, STORED, EXPIRES = unpack(KEYS)
local HEAD = 8 -- bytes of the expiry

-- Removes an entry; also what the other keys know of one that is gone.
local function remove(id)
  local size = redis.call('HSTRLEN', ENTRIES, id)
  if size > 0 then
    redis.call('HDEL', ENTRIES, id)
    redis.call('HINCRBY', ENTRIES, 'bytes', HEAD - size)
  end
  redis.call('ZREM', NAMES, id)
  redis.call('ZREM', STORED, id)
  redis.call('ZREM', EXPIRES, id)
  return size > 0
end

local function remove_all(ids)
  for _, id in ipairs(ids) do
    remove(id)
  end
  return #ids
end
