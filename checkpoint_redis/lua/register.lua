-- Notes a thread. ARGV: the thread, when it is written to, when it expires (''), whether a sweep is to
-- collect its garbage, its runs.
local thread, now, due = ARGV[1], ARGV[2], ARGV[3]
if ARGV[4] == '1' then
  redis.call('ZADD', RUNS, 0, 'g' .. thread)
end
redis.call('ZADD', UPDATED, now, thread)
if due ~= '' then
  redis.call('ZADD', EXPIRES, due, thread)
else
  redis.call('ZREM', EXPIRES, thread)
end
for n = 5, #ARGV do
  redis.call('ZADD', RUNS, 0, 'r' .. ARGV[n] .. '\0' .. thread, 0, 't' .. thread .. '\0' .. ARGV[n])
end
return due ~= '' and redis.call('ZCOUNT', EXPIRES, '(-inf', now) or 0
