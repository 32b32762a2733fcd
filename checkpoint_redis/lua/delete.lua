-- Removes all of a thread. Replies when it was last written to, '' if it was not there.
local updated = redis.call('HGET', RECORDS, 'updated') or ''
purge()
return updated
