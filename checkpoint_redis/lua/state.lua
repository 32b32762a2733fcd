-- The thread's own record, and whether the server has evicted a part of the thread: one of its two
-- keys is there without the other, or none of them where the registry has a thread that never expires.
local state = redis.call('HMGET', RECORDS, 'epoch', 'end', 'expires', 'ttl', 'revision', 'hash_salt')
local EPOCH, END, TTL, REVISION, SALT = state[1], state[2], state[4], state[5], state[6]
local DUE = tonumber(state[3])
local DAMAGE
if (EPOCH and 1 or 0) ~= redis.call('EXISTS', ORDER) then
  DAMAGE = 'one of the two keys of a thread is gone'
elseif not EPOCH and UPDATED and redis.call('ZSCORE', UPDATED, THREAD)
    and not redis.call('ZSCORE', EXPIRES, THREAD) then
  DAMAGE = 'a thread without expiry is gone'
end
local HAS_EXPIRED = DUE and HORIZON and DUE <= HORIZON
local ABSENT = not EPOCH or HAS_EXPIRED

-- What a thread was looked at as, '' if it was not there. A thread that was deleted and made anew
-- has the same revisions again, but another epoch.
local function state_now()
  return ABSENT and '' or EPOCH .. ' ' .. REVISION
end
