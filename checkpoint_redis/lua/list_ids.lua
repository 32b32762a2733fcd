-- Lists the ids of a thread's checkpoints, the newest first.
-- ARGV: the range (order.lua); how many; the least id to return ('' for no bound).
-- Reply: nil if the thread does not exist, empty if it has expired; (id, namespace) of each
-- checkpoint.
require_intact()
if not EPOCH then
  return false
elseif ABSENT then
  return {}
end
local walk_on, count, floor = checkpoints(), tonumber(arg()), arg()
local found = {}
local id, ns = walk_on.peek()
while id and #found < 2 * count and not is_less(id, floor) do
  found[#found + 1] = id
  found[#found + 1] = ns
  walk_on.skip()
  id, ns = walk_on.peek()
end
return found
