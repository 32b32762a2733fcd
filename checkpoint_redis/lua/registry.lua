-- Scripts that look into the registry. KEYS: by update, by expiry, by run.
local UPDATED, EXPIRES, RUNS = unpack(KEYS)
local MARK = '\0' -- in all three, so that none is ever empty
if redis.call('EXISTS', UPDATED, EXPIRES, RUNS) < 3 then
  return redis.error_reply('CORRUPT a part of the registry is gone, or setup() was never called')
end
