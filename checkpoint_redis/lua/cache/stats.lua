-- How many entries there are, and how many bytes of data they have.
local bytes = redis.call('HGET', ENTRIES, 'bytes')
return { redis.call('HLEN', ENTRIES) - (bytes and 1 or 0), bytes or '0' }
