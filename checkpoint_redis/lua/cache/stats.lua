-- Counts entries and their bytes of data. ARGV: none. Reply: both counts.
local bytes = redis.call('HGET', ENTRIES, 'bytes')
return { redis.call('HLEN', ENTRIES) - (bytes and 1 or 0), bytes or '0' }
