-- How many checkpoints, values, segments and writes there are, and the bytes of those; also of
-- a damaged thread, as far as it is there.
if HAS_EXPIRED or (not EPOCH and not DAMAGE) then
  return false
end
local counts, bytes = { n = 0, v = 0, s = 0, d = 0, w = 0 }, 0
for _, name in ipairs(redis.call('HKEYS', RECORDS)) do
  local kind = string.sub(name, 1, 1)
  if counts[kind] then
    counts[kind] = counts[kind] + 1
    bytes = bytes + #name + redis.call('HSTRLEN', RECORDS, name)
  end
end
return { counts.n, counts.v, counts.s, counts.w, bytes }
