-- Begins a collection: from now on writers note in the thread's journal what they write. Collections that
-- overlap share it.
-- ARGV: an id for the journal, the state that the thread was looked at in ('' for any), now if it must have
-- expired (else '').
-- Reply: 'absent'; 'other' where the thread is in another state; or 'begun' and the journal's id.
require_intact()
local id, looked_at, now = arg(), arg(), tonumber(arg())
if ABSENT or (now and not (DUE and DUE <= now)) then
  return { 'absent' }
elseif looked_at ~= '' and looked_at ~= state_now() then
  return { 'other' }
elseif JOURNAL and tonumber(JOURNALLED) < JOURNAL_SIZE / 2 then
  return { 'begun', JOURNAL }
end
in_batches('ZREM', ORDER, named('j'))
redis.call('HSET', RECORDS, 'journal', id .. ' 0')
return { 'begun', id }
