-- The threads that have checkpoints of some runs. ARGV: runs. Replies (run, thread) of each.
local found = {}
for _, run in ipairs(ARGV) do
  local start = 'r' .. run .. '\0'
  for _, member in ipairs(redis.call('ZRANGEBYLEX', RUNS, '[' .. start, '(' .. start .. '\255')) do
    found[#found + 1], found[#found + 2] = run, string.sub(member, #start + 1)
  end
end
return found
