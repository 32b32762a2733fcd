-- Items. ARGV: names, then for each whether reading moves its expiry, a digit. Replies them joined,
-- an empty string for an item that does not exist; and the error that kept an expiry from being
-- moved ('' if none did).
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
