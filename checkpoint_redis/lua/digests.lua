-- (start, digests) of up to so many of the newest segments.
local function newest_digests(count)
  local found = {}
  for _, member in ipairs(redis.call('ZREVRANGEBYLEX', ORDER, '(t', '[s', 'LIMIT', 0, count)) do
    local start = string.format('%.0f', (struct.unpack('>I8', member, 2)))
    found[#found + 1] = start
    found[#found + 1] = redis.call('HGET', RECORDS, 'd' .. start) or '' -- the reader says so
  end
  return found
end
