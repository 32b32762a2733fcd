-- Lists, in order, the namespaces that have an item that has not expired.
-- ARGV: the least text; an exclusive upper bound ('' for none); how many labels to distinguish (0:
-- all): of the namespaces that agree in these, only the first is returned; how many to return.
-- Reply: namespaces; the text at which the next call begins ('' at the end).
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
