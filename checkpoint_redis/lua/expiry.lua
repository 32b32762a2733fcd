-- Preamble of scripts that move a thread's expiry.
-- ARGV: now, the saver's time to live in minutes ('' for none), whether expired threads are gone.
local NOW, DEFAULT_TTL, WHOLE = arg(), arg(), arg() == '1'

-- Sets the server's own expiry, by its own clock, so that it need not agree with ours.
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
