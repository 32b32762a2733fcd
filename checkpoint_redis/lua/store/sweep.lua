-- Removes items that have expired. ARGV: how many at most.
local overdue = redis.call('ZRANGEBYSCORE', EXPIRES, '-inf', string.format('%.17g', NOW),
  'LIMIT', 0, tonumber(arg()))
if #overdue > 0 then
  REVISION = REVISION + 1
  for _, name in ipairs(overdue) do
    remove(name)
  end
  note()
end
return #overdue
