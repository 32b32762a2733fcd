-- The thread's own record has no checksum: what scripts and the caller calculate with must be there.
local function is_count(text)
  return text and string.find(text, '^%d+$')
end

local function is_number_or_empty(text)
  return text and (text == '' or tonumber(text))
end

if EPOCH and not (SALT and is_count(EPOCH) and is_count(END) and is_count(REVISION)
    and is_number_or_empty(state[3]) and is_number_or_empty(TTL)) then
  corrupt('the own record of a thread is damaged')
end
