-- Threads that have garbage to collect. ARGV: the one to go on behind ('' for the first), how many.
local found = {}
for n, member in ipairs(redis.call('ZRANGEBYLEX', RUNS, '(g' .. ARGV[1], '(h', 'LIMIT', 0, ARGV[2])) do
  found[n] = string.sub(member, 2)
end
return found
