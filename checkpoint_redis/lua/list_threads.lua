-- Lists the threads of one part of the registry, the last updated first.
-- ARGV: '1' if a previous page ended at a position, else '0'; that position's update time and
-- thread; the least and the greatest update time ('-inf', '+inf', '(' before an exclusive one);
-- prefix of thread ids; how many to return; how many to examine.
-- Reply: (thread, updated) of each; (thread, updated) of the last one examined, empty at the end.
require_registry()
local is_after, time, thread = ARGV[1] == '1', ARGV[2], ARGV[3]
local min, max, prefix = ARGV[4], ARGV[5], ARGV[6]
local count, patience = tonumber(ARGV[7]), tonumber(ARGV[8])

local function is_less(a, b)
  for n = 1, math.min(#a, #b) do
    local x, y = string.byte(a, n), string.byte(b, n)
    if x ~= y then
      return x < y
    end
  end
  return #a < #b
end

local found, offset, last = {}, 0, nil
while #found < 2 * count and patience > 0 do
  local some = redis.call('ZREVRANGEBYSCORE', UPDATED, max, min, 'WITHSCORES', 'LIMIT', offset, 100)
  for n = 1, #some, 2 do
    local name, score = some[n], some[n + 1]
    local passed = is_after and tonumber(score) == tonumber(time) and not is_less(name, thread)
    if not passed and name ~= MARK and #found < 2 * count then
      last, patience = { name, score }, patience - 1
      if string.sub(name, 1, #prefix) == prefix then
        found[#found + 1], found[#found + 2] = name, score
      end
    end
  end
  offset = offset + 100
  if #some < 200 then
    if #found < 2 * count then
      last = nil
    end
    break
  end
end
return { found, last or {} }
