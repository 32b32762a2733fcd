-- What a value must have to match: pieces of its JSON text; numbers behind a name that compare.
-- It lets through all that matches, and perhaps more. ARGV: pieces, comparisons (text of the name,
-- operator, number).
local FRAGMENTS, COMPARISONS = args(), args()
for n = 3, #COMPARISONS, 3 do
  COMPARISONS[n] = tonumber(COMPARISONS[n])
end
local find, match = string.find, string.match

local function compares(value, start, op, operand)
  local at = 33
  while true do
    local _, stop = find(value, start, at, true)
    if not stop then
      return false
    end
    local number = tonumber(match(value, '^-?[%d.eE+-]+', stop + 1))
    if number and ((op == '>' and number >= operand) or (op == '<' and number <= operand)) then
      return true
    end
    at = stop + 1
  end
end

local function may_match(packed)
  if HORIZON and not is_shown(packed) then
    return false
  end
  for n = 1, #FRAGMENTS do
    if not find(packed, FRAGMENTS[n], 33, true) then
      return false
    end
  end
  for n = 1, #COMPARISONS, 3 do
    if not compares(packed, COMPARISONS[n], COMPARISONS[n + 1], COMPARISONS[n + 2]) then
      return false
    end
  end
  return true
end
