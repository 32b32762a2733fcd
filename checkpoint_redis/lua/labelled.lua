-- Lists the threads that have a label, in order of their ids.
-- ARGV: page size; the label; where to begin: '[' and a thread id (inclusive) or '(' and one
-- (exclusive).
-- Reply: thread ids.
require_registry()
local start, from, threads = ARGV[2] .. '\0', ARGV[3], {}
local min, max = string.sub(from, 1, 1) .. start .. string.sub(from, 2), '(' .. start .. '\255'
for n, member in ipairs(redis.call('ZRANGEBYLEX', LABELS, min, max, 'LIMIT', 0, ARGV[1])) do
  threads[n] = string.sub(member, #start + 1)
end
return threads
