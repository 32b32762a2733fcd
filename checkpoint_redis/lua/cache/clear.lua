-- Removes all entries. ARGV: none. Reply: how many keys were removed.
return redis.call('UNLINK', ENTRIES, NAMES, STORED, EXPIRES)
