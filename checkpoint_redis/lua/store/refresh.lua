-- Moves the expiry of items that were found. ARGV: names.
local names = args()
for n, packed in ipairs(all_of(ITEMS, names)) do
  if packed and is_shown(packed) then
    refreshed(names[n], packed)
  end
end
return 1
