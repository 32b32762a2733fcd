-- Which checkpoints there are. ARGV: what is wanted (order.lua), how many, the id to stop at ('').
if ABSENT then
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
