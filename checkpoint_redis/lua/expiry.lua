-- Preamble of scripts that set a thread's expiry.
-- ARGV: now (epoch seconds); the saver's time to live in minutes ('' for none); '1' if the TTL
-- policy deletes whole threads.
local NOW, DEFAULT_TTL, WHOLE = arg(), arg(), arg() == '1'

-- Sets the expiry of both keys. It is relative, so the clocks of client and server need not agree.
local function set_expiry(minutes)
  if minutes and WHOLE then
    local left = string.format('%.0f', math.min(math.max(math.ceil(minutes * 60000), 1), 1e15))
    redis.call('PEXPIRE', RECORDS, left)
    redis.call('PEXPIRE', ORDER, left)
  else
    redis.call('PERSIST', RECORDS)
    redis.call('PERSIST', ORDER)
  end
end

local function due_at(minutes)
  return minutes and string.format('%.17g', tonumber(NOW) + minutes * 60) or ''
end
