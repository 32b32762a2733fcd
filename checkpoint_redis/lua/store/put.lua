-- Puts and deletes items.
-- ARGV: (name, packed item or '' to delete, expiry or '', packed vectors or '', JSON of the texts
-- whose stored vectors are kept, or '') of each.
-- Reply: an empty list; or, if an item has vectors of fields that its JSON does not have, (name,
-- field) of these, and nothing was written.
local puts = args()
local others, kept = {}, {}
for n = 1, #puts, 5 do
  if puts[n + 4] ~= '' then
    kept[n] = unchanged(puts[n], cjson.decode(puts[n + 4]), others)
  end
end
if #others > 0 then
  return others
end
REVISION = REVISION + 1
for n = 1, #puts, 5 do
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
    if kept[n] ~= 'all' then
      local had = old and forget_vectors(name)
      embedding = kept[n] or embedding
      if embedding ~= '' then
        keep_vectors(name, embedding)
      end
      if had or embedding ~= '' then
        changed(name)
      end
    end
  end
end
note()
return {}
