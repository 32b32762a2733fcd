-- Corrects a thread's entry in the registry: its expiry, unless a writer has changed it since the
-- caller read it, and its labels.
-- ARGV: thread id; the expiry that the caller read ('' to leave the expiry alone); the thread's
-- real expiry ('' for never); labels to remove. Reply: 1.
local thread, seen, due = ARGV[1], ARGV[2], ARGV[3]
local score = seen ~= '' and redis.call('ZSCORE', EXPIRES, thread)
if score and tonumber(score) == tonumber(seen) then
  if due ~= '' then
    redis.call('ZADD', EXPIRES, due, thread)
  else
    redis.call('ZREM', EXPIRES, thread)
  end
end
for n = 4, #ARGV do
  remove_label(thread, ARGV[n])
end
return 1
