-- Counts items, vectors, and the bytes of memory of the store's keys. ARGV: none. Reply: these
-- counts.
local bytes = 0
for _, key in ipairs(KEYS) do
  local told = redis.pcall('MEMORY', 'USAGE', key, 'SAMPLES', 100)
  bytes = bytes + (type(told) == 'number' and told or 0)
end
return { total, tonumber(counters[2] or 0), bytes }
