-- Puts and deletes. ARGV: (name, packed item or '' to delete, expiry or '', vectors or '').
local puts = args()
REVISION = REVISION + 1
for n = 1, #puts, 4 do
  local name, packed, due, embedding = puts[n], puts[n + 1], puts[n + 2], puts[n + 3]
  if packed == '' then
    remove(name)
  else
    local old = redis.call('HGET', ITEMS, name)
    if old and #PATHS > 0 then
      unlist(name, old)
    end
    if old and is_shown(old) then
      packed = string.sub(old, 1, 8) .. string.sub(packed, 9)
    end
    redis.call('HSET', ITEMS, name, packed)
    if #PATHS > 0 then
      list(name, packed, 1)
    end
    redis.call('ZADD', NAMES, 0, name)
    redis.call('ZADD', UPDATED, string.format('%.17g', -NOW), name)
    if due ~= '' then
      redis.call('ZADD', EXPIRES, due, name)
    elseif old then
      redis.call('ZREM', EXPIRES, name)
    end
    local had = old and forget_vectors(name)
    if embedding ~= '' then
      keep_vectors(name, embedding)
    end
    if had or embedding ~= '' then
      changed(name)
    end
  end
end
note()
return REVISION
