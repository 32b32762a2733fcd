-- Reads all items that have vectors and may match, a part at a time, in the order of their names.
-- ARGV: those of filters.lua; the last name of the previous call ('' for the first); how many items
-- to examine; namespace prefix.
-- Reply: the store's revision; (name, packed, vectors) of each item; the last name examined ('' at
-- the end).
local behind, count, ns = arg(), tonumber(arg()), arg()
local low = behind == '' and '[' .. ns or '(' .. behind
local high = ns == '' and '+' or '(' .. string.sub(ns, 1, -2) .. '\2'
local names = redis.call('ZRANGEBYLEX', NAMES, low, high, 'LIMIT', 0, count)
local passing, items = {}, {}
for n, packed in ipairs(all_of(ITEMS, names)) do
  if packed and may_match(packed) then
    passing[#passing + 1], items[#items + 1] = names[n], packed
  end
end
local found = {}
for n, embedding in ipairs(all_of(VECTORS, passing)) do
  if embedding then
    found[#found + 1], found[#found + 2], found[#found + 3] = passing[n], items[n], embedding
  end
end
return { REVISION, found, #names == count and names[count] or '' }
