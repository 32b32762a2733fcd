-- Moving the expiry of a thread that is read, if it moves far enough: most reads write nothing. Where the server refuses (a replica, a full memory, a
-- user who may only read), the reader is told, and gets what it reads all the same.
local function refresh()
  local minutes = tonumber(TTL ~= '' and TTL or DEFAULT_TTL)
  -- checkpoint_base.ttl.refresh_threshold
  if DUE and minutes
      and math.abs(NOW + minutes * 60 - DUE) > math.min(math.max(1.2 * minutes, 1), 30 * minutes) then
    local is_moved, told = pcall(function()
      set_expiry(minutes)
      redis.call('HSET', RECORDS, 'expires', due_at(minutes))
    end)
    if not is_moved then
      tell('e', type(told) == 'table' and told.err or told)
    end
  end
end
