-- Named checkpoints.
-- ARGV: of the expiry; whether reading moves it; whether values and writes are wanted; (namespace, id) of
-- each, the newest where the id is ''.
-- Reply: a response; nothing if the thread is not there, or the only checkpoint that is asked for.
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
