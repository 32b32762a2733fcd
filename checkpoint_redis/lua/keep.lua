-- Removes all checkpoints but some, if the thread is still what it was looked at as.
-- ARGV: an epoch, the state looked at, now if the thread must have expired ('' if not), what
-- stays (namespace, id), the newest of each namespace (namespace, id).
local epoch, looked_at, now, kept, newest = arg(), arg(), arg(), args(), args()
if ABSENT or (now ~= '' and not (DUE and DUE <= tonumber(now))) then
  return 'absent'
end
if looked_at ~= state_now() then
  return 'other'
end
local stays, early, has_doomed = {}, {}, false
for n = 1, #kept, 2 do
  stays['n' .. kept[n] .. '\0' .. kept[n + 1]] = true
end
for _, name in ipairs(named('n')) do
  has_doomed = has_doomed or not stays[name]
end
-- Writes may come before their checkpoint, but not before one that is older than the newest.
for n = 1, #newest, 2 do
  local start = 'w' .. newest[n] .. '\0'
  local older = redis.call('ZRANGEBYLEX', ORDER, '[' .. start, '(' .. start .. newest[n + 1])
  for _, name in ipairs(older) do
    local id = string.sub(name, #start + 1, nul_in(name, #start + 1) - 1)
    if redis.call('HEXISTS', RECORDS, 'n' .. newest[n] .. '\0' .. id) == 0 then
      early[name] = true
    end
  end
end
if has_doomed or next(early) or redis.call('HEXISTS', RECORDS, 'garbage') == 1 then
  collect(epoch, function(name) return not stays[name] end, early)
end
if now ~= '' then
  redis.call('HSET', RECORDS, 'expires', '')
  redis.call('PERSIST', RECORDS)
  redis.call('PERSIST', ORDER)
  if EXPIRES then
    redis.call('ZREM', EXPIRES, THREAD)
  end
end
return 'done'
