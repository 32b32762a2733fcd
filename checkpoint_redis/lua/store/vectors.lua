-- Reads the vectors of items in the order of their names.
-- ARGV: the last name of the previous call ('' for the first); how many items to examine; namespace
-- prefix.
-- Reply: the store's revision; the number of all vectors; (name, vectors) of each item; the last
-- name examined ('' at the end).
local behind, count, ns = arg(), tonumber(arg()), arg()
local low = behind == '' and '[' .. ns or '(' .. behind
local high = ns == '' and '+' or '(' .. string.sub(ns, 1, -2) .. '\2'
local names = redis.call('ZRANGEBYLEX', NAMES, low, high, 'LIMIT', 0, count)
local found = {}
for n, embedding in ipairs(all_of(VECTORS, names)) do
  if embedding then
    found[#found + 1], found[#found + 2] = names[n], embedding
  end
end
return { REVISION, counters[2] or '0', found, #names == count and names[count] or '' }
