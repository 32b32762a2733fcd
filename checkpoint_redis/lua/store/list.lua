-- Lists what the next items have at a path. One path after the other: another that is not listed
-- completely comes first. ARGV: the path, how many items. Replies whether there are more.
local path, count = arg(), tonumber(arg())
local cursor = counters[12] or ''
if COMPLETE == #PATHS then
  for _, known in ipairs(PATHS) do
    if known == path then
      return 0
    end
  end
  if #PATHS >= MOST_PATHS then
    return 0
  end
  PATHS[#PATHS + 1] = path
  cursor = ''
end
-- a replica, a full memory, a user who may only read: then searches do without
local told = redis.pcall('HSET', COUNTERS, 'cursor', cursor)
if type(told) == 'table' and told.err then
  return 0
end
local from = cursor == '' and '-' or '(' .. cursor
local names = redis.call('ZRANGEBYLEX', NAMES, from, '+', 'LIMIT', 0, count)
for n, packed in ipairs(all_of(ITEMS, names)) do
  list(names[n], packed, #PATHS)
end
local is_complete = #names < count
redis.call('HSET', COUNTERS, 'paths', table.concat(PATHS, '\n'),
  'complete', is_complete and #PATHS or #PATHS - 1, 'cursor', is_complete and '' or names[#names])
note_fields()
return is_complete and 0 or 1
