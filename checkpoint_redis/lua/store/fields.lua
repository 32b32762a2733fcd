-- Fields that searches filter by. A member of FIELDS is the number of a path; what an item has there, as
-- something that sorts (checkpoint_redis.store_fields); when it was put, the newest first; its name.
-- PATHS are JSON arrays; all items are listed under the first COMPLETE of them.
local MOST_PATHS = 32
local PATHS, COMPLETE = {}, tonumber(counters[11] or 0)
for path in string.gmatch(counters[10] or '', '[^\n]+') do
  PATHS[#PATHS + 1] = path
end

-- a number as 8 bytes in the same order
local function sortable(number)
  local high, low = struct.unpack('>I4I4', struct.pack('>d', number + 0))
  if high >= 2147483648 then
    return struct.pack('>I4I4', 4294967295 - high, 4294967295 - low)
  end
  return struct.pack('>I4I4', high + 2147483648, low)
end

local function key_of(value)
  local kind = type(value)
  if kind == 'string' then
    local short = string.sub(value, 1, 64)
    return '4' .. string.sub(short, 1, (string.find(short, '\0', 1, true) or 65) - 1) .. '\0'
  elseif kind == 'number' then
    return '3' .. sortable(value)
  elseif kind == 'boolean' then
    return value and '2' or '1'
  end
  return value == cjson.null and '0' or nil
end

local function value_at(value, path)
  for _, step in ipairs(path) do
    if type(value) ~= 'table' then
      return nil
    end
    value = value[step]
  end
  return value
end

-- what an item is listed as, under all paths from `first` on
local function members(name, packed, first)
  local found = {}
  local is_read, value = pcall(cjson.decode, string.sub(packed, 33))
  local behind = sortable(-struct.unpack('<d', packed, 9)) .. name
  for n = first, #PATHS do
    local key = '9' -- it may be anything
    if is_read then
      key = key_of(value_at(value, cjson.decode(PATHS[n])))
    end
    if key then
      found[#found + 1] = string.char(n) .. key .. behind
    end
  end
  return found
end

local function list(name, packed, first)
  for _, member in ipairs(members(name, packed, first)) do
    redis.call('ZADD', FIELDS, 0, member)
  end
end

local function unlist(name, packed)
  for _, member in ipairs(members(name, packed, 1)) do
    redis.call('ZREM', FIELDS, member)
  end
end

local function note_fields()
  redis.call('HSET', COUNTERS, 'fields', redis.call('ZCARD', FIELDS))
end
