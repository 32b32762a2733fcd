-- Preamble of scripts that return checkpoints with their values, writes and segments. Because
-- clients parse one string faster than many, small pieces are joined in one string, each after its
-- length; the first three are the thread's epoch, log size and salt. Large segments are elements of
-- the reply.
local LARGE = 16384
local pieces, large = { '' }, {}
local seen, size = {}, 0

local function tell(...)
  local count, pack = #pieces, struct.pack
  for n = 1, select('#', ...) do
    local piece = select(n, ...)
    pieces[count + 1], pieces[count + 2] = pack('<I4', #piece), piece
    count, size = count + 2, size + #piece
  end
end

-- Returns a checkpoint's record, nil if it does not exist. It is corrupt if only the order has its
-- name.
local function record_of(ns, id)
  local name = 'n' .. ns .. '\0' .. id
  local packed = redis.call('HGET', RECORDS, name)
  if not packed and redis.call('ZSCORE', ORDER, name) then
    corrupt('a checkpoint is gone')
  end
  return packed
end

-- Returns the id and the record of a checkpoint, of the newest one if `id` is ''; nil if there is
-- none.
local function checkpoint_at(ns, id)
  if id == '' then
    local start = 'n' .. ns .. '\0'
    local newest = redis.call('ZREVRANGEBYLEX', ORDER, '(' .. start .. '\255', '[' .. start, 'LIMIT', 0, 1)
    id = newest[1] and string.sub(newest[1], #start + 1)
  end
  return id, id and record_of(ns, id)
end

local function add_segments(first, last)
  while first < last do
    local start = string.format('%.0f', first)
    local length = seen['s' .. start]
    if not length then
      local data = redis.call('HGET', RECORDS, 's' .. start)
      length = data and #data or 0
      seen['s' .. start] = length
      if length == 0 then
        return -- the client raises the error: it finds the segment missing
      end
      local digests = redis.call('HGET', RECORDS, 'd' .. start) or ''
      if length < LARGE then
        tell('s', start, digests, data)
      else
        tell('l', start, digests)
        large[#large + 1] = data
        size = size + length
      end
    end
    if length == 0 then
      return
    end
    first = first + length
  end
end

local function add_records(kind, names, layout_of)
  for first = 1, #names, BATCH do
    local last = math.min(first + BATCH - 1, #names)
    local found = redis.call('HMGET', RECORDS, unpack(names, first, last))
    for n = first, last do
      local packed = found[n - first + 1]
      if not packed and kind == 'w' then
        corrupt('a write is gone')
      elseif packed then
        tell(kind, names[n], packed)
        local layout = layout_of(packed)
        if layout ~= '' then
          each_span(layout, add_segments)
        end
      end
    end
  end
end

local function add_writes(ns, id)
  local start = 'w' .. ns .. '\0' .. id .. '\0'
  if not seen[start] then
    seen[start] = true
    add_records('w', named(start), layout_of_write)
  end
end

local function add_values(ns, versions)
  local names = {}
  each_version(versions, function(channel, version, mark)
    local name = not mark and 'v' .. ns .. '\0' .. channel .. '\0' .. version
    if name and not seen[name] then
      seen[name] = true
      names[#names + 1] = name
    end
  end)
  add_records('v', names, layout_of_value)
end

local function add_checkpoint(ns, id, packed)
  local parent, _, versions, _, v = checkpoint_of(packed)
  tell('c', ns, id, packed)
  add_values(ns, versions)
  add_writes(ns, id)
  if v < 4 and parent then
    add_writes(ns, parent)
  end
end

local function response(...)
  pieces[1] = struct.pack('<I4', #EPOCH) .. EPOCH .. struct.pack('<I4', #END) .. END
    .. struct.pack('<I4', #SALT) .. SALT
  local small = table.concat(pieces)
  if #large == 0 and select('#', ...) == 0 then
    return small
  end
  return { small, large, ... }
end

-- Refreshes the expiry of a thread that is read, if that moves it by more than a threshold: most
-- reads write nothing. If the server refuses (a replica, out of memory, a user without write
-- permission), the reply has the error as a piece of kind 'e', and the read succeeds.
local function refresh()
  local minutes = tonumber(TTL ~= '' and TTL or DEFAULT_TTL)
  -- checkpoint_base.saver.ttl.policy.refresh_threshold
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
