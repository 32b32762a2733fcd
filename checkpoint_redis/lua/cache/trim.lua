-- Removes the entries that were stored longest ago, until the others have few enough bytes.
-- ARGV: how many at most, bytes.
local most, allowed, removed = tonumber(ARGV[1]), tonumber(ARGV[2]), 0
while removed < most and tonumber(redis.call('HGET', ENTRIES, 'bytes') or 0) > allowed do
  local oldest = redis.call('ZRANGE', STORED, 0, 0)
  if #oldest == 0 then -- that key was evicted: nobody knows any more which ones are old
    redis.call('UNLINK', ENTRIES, NAMES, EXPIRES)
    break
  end
  removed = removed + remove_all(oldest)
end
return removed
