-- Namespaces with an item that is shown, in order. ARGV: the least text, the text they are less than
-- ('' for none), how many labels count (0: all), how many to give. Replies them, and the text to go
-- on at ('' if these were all).
local low, high, depth, count = '[' .. arg(), arg(), tonumber(arg()), tonumber(arg())
local upper = high == '' and '+' or '(' .. high
local found = {}

local function cut(ns)
  local at = 0
  for _ = 1, depth do
    at = string.find(ns, '\1', at + 1, true)
    if not at then
      return nil
    end
  end
  return string.sub(ns, 1, at)
end

while #found < count do
  local name = redis.call('ZRANGEBYLEX', NAMES, low, upper, 'LIMIT', 0, 1)[1]
  if not name then
    return { found, '' }
  end
  local ns = string.sub(name, 1, string.find(name, '\0', 1, true) - 1)
  if HORIZON and not is_shown(redis.call('HGET', ITEMS, name)) then
    low = '(' .. name
  else
    found[#found + 1] = ns
    local whole = depth > 0 and cut(ns)
    low = whole and '[' .. string.sub(whole, 1, -2) .. '\2' or '(' .. ns .. '\0\255'
  end
end
return { found, string.sub(low, 2) }
