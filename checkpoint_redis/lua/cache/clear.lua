-- Removes all entries.
return redis.call('UNLINK', ENTRIES, NAMES, STORED, EXPIRES)
