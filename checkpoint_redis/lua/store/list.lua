-- Adds the next items to the index of a declared field. If another field's index is incomplete, it
-- is completed first. ARGV: the path, how many items. Reply: 1 if there is more to do, else 0.
local path, count = arg(), tonumber(arg())
local place, cursor = place_of(path), counters[12] or ''
if place and place <= COMPLETE then
  return 0
end
if COMPLETE == #PATHS then
  PATHS[#PATHS + 1] = path
  cursor = ''
end
local from = cursor == '' and '-' or '(' .. cursor
local names = redis.call('ZRANGEBYLEX', NAMES, from, '+', 'LIMIT', 0, count)
for n, packed in ipairs(all_of(ITEMS, names)) do
  list(names[n], packed, #PATHS)
end
local is_complete = #names < count
note_paths(is_complete and #PATHS or #PATHS - 1, is_complete and '' or names[#names])
return is_complete and PATHS[#PATHS] == path and 0 or 1
