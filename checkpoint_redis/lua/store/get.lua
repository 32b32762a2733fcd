-- Reads items by name.
-- ARGV: names; a string with '1' for each item whose expiry this read refreshes, else '0'.
-- Reply: the packed items joined, '' for one that does not exist; the server's error if it refused
-- to refresh an expiry (else '').
local names, moves = args(), arg()
local found = all_of(ITEMS, names)
if redis.call('EXISTS', EXPIRES) == 1 then
  for n, name in ipairs(names) do
    local packed = found[n]
    if packed and not is_shown(packed) then
      found[n] = false
    elseif packed and string.byte(moves, n) == 49 then
      found[n] = refreshed_if_possible(name, packed)
    end
  end
end
return { joined(found), not_moved }
