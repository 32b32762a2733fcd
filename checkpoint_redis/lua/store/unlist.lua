-- Drops some of what items are listed as at a field that is not declared. ARGV: the paths of those that
-- are, how many to drop. Replies whether there is more to do. A field that is being dropped is one that
-- is not listed completely: searches do not use it, and who declares it has it listed again.
local declared, count = {}, nil
for _, path in ipairs(args()) do
  declared[path] = true
end
count = tonumber(arg())
local place
for n, path in ipairs(PATHS) do
  if not declared[path] then
    place = n -- one that is not complete is the last
  end
end
if not place or (COMPLETE < #PATHS and place <= COMPLETE) then
  return 0
end
local path = table.remove(PATHS, place)
local some = redis.call('ZRANGEBYLEX', FIELDS, '[' .. path .. '\0', '(' .. path .. '\1', 'LIMIT', 0, count)
for _, member in ipairs(some) do
  redis.call('ZREM', FIELDS, member)
end
local complete = #PATHS
if #some == count then
  PATHS[#PATHS + 1] = path
end
note_paths(complete, '')
return 1
