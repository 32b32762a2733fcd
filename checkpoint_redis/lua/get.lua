-- One checkpoint. ARGV: whether reading moves the expiry, namespace, id ('' for the newest).
if ABSENT then
  return false
end
local moves, ns = arg() == '1', arg()
local id, packed = checkpoint_at(ns, arg())
if not packed then
  return false
end
if moves then
  refresh()
end
add_checkpoint(ns, id, packed)
return gathered()
