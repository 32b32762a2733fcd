-- Drops a thread that is not there. KEYS also: its records, if they can be reached. ARGV: the
-- thread, the update and the expiry that were seen ('' for none): who registers it anew wins.
local thread, updated, due = ARGV[1], ARGV[2], ARGV[3]
if KEYS[4] and redis.call('EXISTS', KEYS[4]) == 1 then
  return 0
end
local function is_as_seen(key, score)
  local now = redis.call('ZSCORE', key, thread)
  return score ~= '' and now and tonumber(now) == tonumber(score)
end
if is_as_seen(EXPIRES, due) then
  redis.call('ZREM', EXPIRES, thread)
end
if not is_as_seen(UPDATED, updated) then
  return 0
end
redis.call('ZREM', UPDATED, thread)
redis.call('ZREM', EXPIRES, thread)
redis.call('ZREM', RUNS, 'g' .. thread)
local start = 't' .. thread .. '\0'
for _, member in ipairs(redis.call('ZRANGEBYLEX', RUNS, '[' .. start, '(' .. start .. '\255')) do
  redis.call('ZREM', RUNS, member, 'r' .. string.sub(member, #start + 1) .. '\0' .. thread)
end
return 1
