-- Moving the expiry of a thread that is read. Where the server refuses (a replica, a full memory, a
-- user who may only read), the reader is told, and gets what it reads all the same.
local function refresh()
  local minutes = tonumber(TTL ~= '' and TTL or DEFAULT_TTL)
  if DUE and minutes then
    local is_moved, told = pcall(function()
      set_expiry(minutes)
      redis.call('HSET', RECORDS, 'expires', due_at(minutes))
    end)
    if not is_moved then
      tell('e', type(told) == 'table' and told.err or told)
    end
  end
end
