-- Corrects the entry of a thread.
-- ARGV: the thread, its expiry as seen ('' to leave that as it is), its real one ('' for never), labels
-- that it does not have any more. Reply: 1.
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
