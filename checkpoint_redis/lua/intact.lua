-- The thread's own record. One of its two keys without the other, or none of them where the
-- registry has a thread that never expires: the server evicted it.
local state = redis.call('HMGET', RECORDS, 'epoch', 'end', 'expires', 'ttl', 'revision', 'hash_salt')
local EPOCH, END, TTL, REVISION, SALT = state[1], state[2], state[4], state[5], state[6]
local DUE = tonumber(state[3])
local has_order = redis.call('EXISTS', ORDER) == 1
if (EPOCH and true or false) ~= has_order then
  corrupt('one of the two keys of a thread is gone')
end
if not EPOCH and UPDATED and redis.call('ZSCORE', UPDATED, THREAD)
    and not redis.call('ZSCORE', EXPIRES, THREAD) then
  corrupt('a thread without expiry is gone')
end
local HAS_EXPIRED = DUE and HORIZON and DUE <= HORIZON
local ABSENT = not EPOCH or HAS_EXPIRED

-- What a thread was looked at as, '' if it was not there. A thread that was deleted and made anew
-- has the same revisions again, but another epoch.
local function state_now()
  return ABSENT and '' or EPOCH .. ' ' .. REVISION
end
