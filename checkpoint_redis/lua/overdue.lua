-- Threads whose expiry is not after now, the earliest first. ARGV: now, how many. Replies
-- (thread, expiry, last update) of each.
local found = {}
local some = redis.call('ZRANGEBYSCORE', EXPIRES, '(-inf', ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for n = 1, #some, 2 do
  found[#found + 1], found[#found + 2] = some[n], some[n + 1]
  found[#found + 1] = redis.call('ZSCORE', UPDATED, some[n]) or ''
end
return found
