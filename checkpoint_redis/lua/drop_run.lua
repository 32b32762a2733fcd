-- ARGV: a thread, and runs of which it has nothing any more.
for n = 2, #ARGV do
  redis.call('ZREM', RUNS, 'r' .. ARGV[n] .. '\0' .. ARGV[1], 't' .. ARGV[1] .. '\0' .. ARGV[n])
end
return 1
