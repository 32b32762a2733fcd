-- Drops some index entries of a field that is no longer declared. The field's index counts as
-- incomplete from then on: searches do not use it, and setup() rebuilds it if the field is declared
-- again.
-- ARGV: the paths of the declared fields; how many entries to drop. Reply: 1 if there is more to
-- do, else 0.
local declared, count = {}, nil
for _, path in ipairs(args()) do
  declared[path] = true
end
count = tonumber(arg())
local place
for n, path in ipairs(PATHS) do
  if not declared[path] then
    place = n -- the last one wins: an incomplete index is the last
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
