-- Reads checkpoints of one thread by namespace and id.
-- ARGV: those of expiry.lua; '1' if this read refreshes the expiry; '1' if values and writes are to
-- be returned; (namespace, id) of each checkpoint, where the id '' stands for the newest one.
-- Reply: a response (response.lua); nil if the thread does not exist, or if a single checkpoint
-- with its values was requested and does not exist.
require_intact()
local moves, whole, places = arg() == '1', arg() == '1', args()
if ABSENT then
  return false
end
for n = 1, #places, 2 do
  local ns = places[n]
  local id, packed = checkpoint_at(ns, places[n + 1])
  if packed then
    if moves then
      refresh()
      moves = false
    end
    if whole then
      add_checkpoint(ns, id, packed)
    else
      tell('c', ns, id, packed)
    end
  elseif #places == 2 and whole then
    return false
  end
end
return response()
