-- Which checkpoints there are.
-- ARGV: what is wanted (order.lua), how many, the id to stop at ('').
-- Reply: nothing if the thread is not there; (id, namespace) of each.
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
