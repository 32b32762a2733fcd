-- Preamble of all scripts of a cache.
-- KEYS: the entries (a hash of id -> expiry as a double, infinite for none, and data; its field
-- 'bytes' has the total size of the data); their ids sorted by id, by the time they were stored, by
-- expiry (sorted sets). A server that evicts keys may have removed any of the four.
local ENTRIES, NAMES, STORED, EXPIRES = unpack(KEYS)
local HEAD = 8 -- bytes of the expiry

-- Removes an entry. Its id is removed from the sorted sets even if the hash has no such entry any
-- more.
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
