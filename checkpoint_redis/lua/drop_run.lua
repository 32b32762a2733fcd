-- ARGV: a thread, whether its garbage was collected, runs of which it has nothing any more.
local thread = ARGV[1]
if ARGV[2] == '1' then
  redis.call('ZREM', RUNS, 'g' .. thread)
end
for n = 3, #ARGV do
  redis.call('ZREM', RUNS, 'r' .. ARGV[n] .. '\0' .. thread, 't' .. thread .. '\0' .. ARGV[n])
end
return 1
