-- Notes a write to a thread in the registry.
-- ARGV: thread id; now; its expiry ('' for never); the id of a new checkpoint ('' for none);
-- labels.
-- Reply: how many threads of this part have expired; 0 if this one never expires.
local thread, now, due, id = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
redis.call('ZADD', UPDATED, now, thread)
if due ~= '' then
  redis.call('ZADD', EXPIRES, due, thread)
else
  redis.call('ZREM', EXPIRES, thread)
end
if id ~= '' then
  add_label(thread, 'h' .. id)
  local start = 't' .. thread .. '\0'
  local heads = redis.call('ZREVRANGEBYLEX', LABELS, '(' .. start .. 'i', '[' .. start .. 'h', 'LIMIT', 0, 2)
  if heads[2] then -- keep only the newer of two checkpoint ids, which is the first
    remove_label(thread, string.sub(heads[2], #start + 1))
  end
end
for n = 5, #ARGV do
  add_label(thread, ARGV[n])
end
return due ~= '' and redis.call('ZCOUNT', EXPIRES, '(-inf', now) or 0
