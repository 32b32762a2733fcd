-- Begins a garbage collection of a thread: creates a journal, in which writers note the records
-- that they write from now on. A second collection that begins meanwhile uses the same journal.
-- ARGV: a new journal id; the state that the thread must be in ('' for any); now, if the thread
-- must have expired (else '').
-- Reply: 'absent'; 'other' if the thread is in another state; or 'begun' and the journal's id.
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
