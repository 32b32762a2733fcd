-- Items. ARGV: names, then for each whether reading moves its expiry.
local names, moves = args(), args()
local found = all_of(ITEMS, names)
for n, name in ipairs(names) do
  local packed = found[n]
  if packed and not is_shown(packed) then
    found[n] = false
  elseif packed and moves[n] == '1' then
    found[n] = refreshed(name, packed)
  end
end
return found
