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

local function fits(packed)
  local _, _, _, metadata, _, is_complete = checkpoint_of(packed)
  for _, fragment in ipairs(fragments) do
    if is_complete and not string.find(metadata, fragment, 1, true) then
      return false
    end
  end
  return true
end

if moves then
  refresh()
end
local id, ns = walk_on.peek()
while id and found < count and size < enough and patience > 0 do
  local packed = record_of(ns, id)
  if packed and (#fragments == 0 or fits(packed)) then
    add_checkpoint(ns, id, packed)
    found = found + 1
  end
  last_id, last_ns, patience = id, ns, patience - 1
  walk_on.skip()
  id, ns = walk_on.peek()
end
return response(id and '1' or '0', last_id, last_ns)
