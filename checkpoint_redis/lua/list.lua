-- A page of checkpoints.
-- ARGV: of the expiry; whether reading moves it; what is wanted (order.lua); how many; after how many
-- bytes, and how many looked at, to stop; pieces of JSON that metadata must have.
-- Reply: nothing if the thread is not there; a response, whether there may be more, the id and the
-- namespace of the last one that was looked at.
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
