-- Refreshes the expiry of items that a search found. ARGV: names. Reply: 1.
local names = args()
for n, packed in ipairs(all_of(ITEMS, names)) do
  if packed and is_shown(packed) then
    refreshed(names[n], packed)
  end
end
return 1
