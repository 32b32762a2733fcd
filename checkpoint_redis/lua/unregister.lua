-- Removes the entry of a thread that does not exist from the registry, unless a put has registered
-- the thread since.
-- ARGV: thread id; two times: the entry is removed if its last update is not after the first, or
-- its expiry is not after the second.
-- Reply: 1 if it was removed, else 0.
local thread = ARGV[1]
local function is_at_most(key, time)
  local score = redis.call('ZSCORE', key, thread)
  return score and tonumber(score) <= tonumber(time)
end
if not is_at_most(UPDATED, ARGV[2]) and not is_at_most(EXPIRES, ARGV[3]) then
  return 0
end
redis.call('ZREM', UPDATED, thread)
redis.call('ZREM', EXPIRES, thread)
local start = 't' .. thread .. '\0'
for _, member in ipairs(redis.call('ZRANGEBYLEX', LABELS, '[' .. start, '(' .. start .. '\255')) do
  remove_label(thread, string.sub(member, #start + 1))
end
return 1
