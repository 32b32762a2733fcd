-- Named checkpoints. ARGV: whether their values and writes are wanted, (namespace, id) of each.
if ABSENT then
  return false
end
local whole, places = arg() == '1', args()
for n = 1, #places, 2 do
  local packed = record_of(places[n], places[n + 1])
  if packed and whole then
    add_checkpoint(places[n], places[n + 1], packed)
  elseif packed then
    tell('c', places[n], places[n + 1], packed)
  end
end
return gathered()
