-- Named checkpoints. ARGV: (namespace, id) of each.
if ABSENT then
  return false
end
local places = args()
for n = 1, #places, 2 do
  local packed = record_of(places[n], places[n + 1])
  if packed then
    add_checkpoint(places[n], places[n + 1], packed)
  end
end
return gathered()
