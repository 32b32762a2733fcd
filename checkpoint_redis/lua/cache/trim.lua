-- Removes the oldest entries until the rest is no larger than a limit.
-- ARGV: how many to remove at most; the limit in bytes. Reply: how many were removed.
local most, allowed, removed = tonumber(ARGV[1]), tonumber(ARGV[2]), 0
while removed < most and tonumber(redis.call('HGET', ENTRIES, 'bytes') or 0) > allowed do
  local oldest = redis.call('ZRANGE', STORED, 0, 0)
  if #oldest == 0 then -- the server evicted STORED, and the entries' ages with it: remove them all
    redis.call('UNLINK', ENTRIES, NAMES, EXPIRES)
    break
  end
  removed = removed + remove_all(oldest)
end
return removed
