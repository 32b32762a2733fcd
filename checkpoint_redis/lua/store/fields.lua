-- Preamble of scripts that use the index of declared fields. A member of FIELDS is a path, NUL, an
-- item's filter key there, NUL, its negated update time as 8 sortable bytes, its name. The first
-- COMPLETE of PATHS are indexed for all items; one more path may follow that is being indexed or
-- dropped.
local PATHS, COMPLETE = {}, tonumber(counters[11] or 0)
for path in string.gmatch(counters[10] or '', '[^\n]+') do
  PATHS[#PATHS + 1] = path
end

-- Returns a number as 8 bytes that sort as numbers do.
local function sortable(number)
  local high, low = struct.unpack('>I4I4', struct.pack('>d', number + 0))
  if high >= 2147483648 then
    return struct.pack('>I4I4', 4294967295 - high, 4294967295 - low)
  end
  return struct.pack('>I4I4', high + 2147483648, low)
end

-- Returns an item's members of the index, for the paths from number `first` on.
local function members(name, packed, first)
  local found, keys = {}, filter_keys(packed)
  local behind = '\0' .. sortable(-struct.unpack('<d', packed, 9)) .. name
  for n = first, #PATHS do
    local key = keys[PATHS[n]]
    if key then
      found[#found + 1] = PATHS[n] .. '\0' .. key .. behind
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

local function note_paths(complete, cursor)
  redis.call('HSET', COUNTERS, 'paths', table.concat(PATHS, '\n'), 'complete', complete,
    'cursor', cursor)
  note_fields()
end

local function place_of(path)
  for n, known in ipairs(PATHS) do
    if known == path then
      return n
    end
  end
end
