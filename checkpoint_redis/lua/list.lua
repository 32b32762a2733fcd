-- Reads a page of a thread's checkpoints, the newest first.
-- ARGV: those of expiry.lua; '1' if this read refreshes the expiry; the range (order.lua); the
-- limits of checkpoints returned, bytes returned and checkpoints examined; JSON fragments that the
-- metadata must contain.
-- Reply: nil if the thread does not exist; else a response (response.lua), '1' if there may be
-- more, the id and the namespace of the last checkpoint examined.
require_intact()
if ABSENT then
  return false
end
local moves, walk_on = arg() == '1', checkpoints()
local count, enough, patience, fragments = tonumber(arg()), tonumber(arg()), tonumber(arg()), args()
local found, last_id, last_ns = 0, '', ''

if moves then
  refresh()
end
local id, ns = walk_on.peek()
while id and found < count and size < enough and patience > 0 do
  local packed = record_of(ns, id)
  if packed and (#fragments == 0 or contains(packed, fragments)) then
    add_checkpoint(ns, id, packed)
    found = found + 1
  end
  last_id, last_ns, patience = id, ns, patience - 1
  walk_on.skip()
  id, ns = walk_on.peek()
end
return response(id and '1' or '0', last_id, last_ns)
