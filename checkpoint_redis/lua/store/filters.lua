-- Preamble of scripts that take a filter. may_match() passes every matching item and possibly
-- others, which the client removes.
-- ARGV: JSON fragments that the item's filter keys must contain; ranges of keys (path, least,
-- greatest).
local PIECES, RANGES = args(), args()
local find = string.find

-- Compares bytes; Lua's own `<` compares by the server's locale.
local function is_less(a, b)
  for n = 1, math.min(#a, #b) do
    local x, y = string.byte(a, n), string.byte(b, n)
    if x ~= y then
      return x < y
    end
  end
  return #a < #b
end

local function may_match(packed)
  if HORIZON and not is_shown(packed) then
    return false
  end
  local text = #PIECES > 0 and string.sub(packed, 37, 36 + struct.unpack('<I4', packed, 33))
  for n = 1, #PIECES do
    if not find(text, PIECES[n], 1, true) then
      return false
    end
  end
  if #RANGES > 0 then
    local keys = filter_keys(packed)
    for n = 1, #RANGES, 3 do
      local key = keys[RANGES[n]]
      if not key or is_less(key, RANGES[n + 1]) or is_less(RANGES[n + 2], key) then
        return false
      end
    end
  end
  return true
end
