-- Removes expired items. ARGV: how many at most. Reply: how many.
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
