-- (start, digests) of up to so many of the newest segments.
local function newest_digests(count)
  local starts = {}
  for _, name in ipairs(redis.call('HKEYS', RECORDS)) do
    if string.sub(name, 1, 1) == 'd' then
      starts[#starts + 1] = tonumber(string.sub(name, 2))
    end
  end
  table.sort(starts, function(a, b) return a > b end)
  local found = {}
  for n = 1, math.min(count, #starts) do
    local start = string.format('%.0f', starts[n])
    found[#found + 1] = start
    found[#found + 1] = redis.call('HGET', RECORDS, 'd' .. start)
  end
  return found
end
