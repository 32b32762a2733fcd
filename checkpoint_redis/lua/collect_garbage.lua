-- Removes what writes have replaced. ARGV: an epoch.
local epoch = arg()
if EPOCH and redis.call('HEXISTS', RECORDS, 'garbage') == 1 then
  collect(epoch, function() return false end, {})
elseif RUNS then
  redis.call('ZREM', RUNS, 'g' .. THREAD)
end
return 1
