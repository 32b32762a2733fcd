-- (start, digests) of up to so many of the newest segments.
local function newest_digests(count)
  local starts, names, found = {}, {}, {}
  for n, member in ipairs(redis.call('ZREVRANGEBYLEX', ORDER, '(t', '[s', 'LIMIT', 0, count)) do
    starts[n] = string.format('%.0f', (struct.unpack('>I8', member, 2)))
    names[n] = 'd' .. starts[n]
  end
  for first = 1, #names, BATCH do
    local last = math.min(first + BATCH - 1, #names)
    local some = redis.call('HMGET', RECORDS, unpack(names, first, last))
    for n = first, last do
      found[2 * n - 1], found[2 * n] = starts[n], some[n - first + 1] or '' -- the reader says so
    end
  end
  return found
end
