-- Removing what nothing refers to.
local function drop_writes(members)
  in_batches('HDEL', RECORDS, members)
  in_batches('ZREM', ORDER, members)
end

local function drop_checkpoint(ns, id)
  local name = 'n' .. ns .. '\0' .. id
  local packed = redis.call('HGET', RECORDS, name)
  if not packed then
    return
  end
  local _, run = checkpoint_of(packed)
  redis.call('HDEL', RECORDS, name)
  redis.call('ZREM', ORDER, name, 'a' .. id .. '\0' .. ns)
  if run then
    redis.call('ZREM', ORDER, 'r' .. run .. '\0' .. ns .. '\0' .. id)
    if RUNS and #named('r' .. run .. '\0') == 0 then
      forget_run(run)
    end
  end
  drop_writes(named('w' .. ns .. '\0' .. id .. '\0'))
end

local function each_record(names, use)
  for first = 1, #names, 100 do
    local last = math.min(first + 99, #names)
    local found = redis.call('HMGET', RECORDS, unpack(names, first, last))
    for n = first, last do
      use(names[n], found[n - first + 1])
    end
  end
end

local function merged(spans)
  table.sort(spans, function(a, b) return a[1] < b[1] end)
  local ranges = {}
  for _, span in ipairs(spans) do
    local last = ranges[#ranges]
    if last and span[1] <= last[2] then
      last[2] = math.max(last[2], span[2])
    else
      ranges[#ranges + 1] = { span[1], span[2] }
    end
  end
  return ranges
end

local function drop_segments(starts, spans)
  table.sort(starts)
  local ranges, at, dead = merged(spans), 1, {}
  for _, start in ipairs(starts) do
    local name = string.format('%.0f', start)
    local stop = start + redis.call('HSTRLEN', RECORDS, 's' .. name)
    while ranges[at] and ranges[at][2] <= start do
      at = at + 1
    end
    if not ranges[at] or ranges[at][1] >= stop then
      dead[#dead + 1] = 's' .. name
      dead[#dead + 1] = 'd' .. name
    end
  end
  in_batches('HDEL', RECORDS, dead)
  return #dead > 0
end

-- Removes values no checkpoint has, segments no value needs, and the thread if it is empty. Who
-- knows the log must look again, and so it gets another epoch.
local function collect(epoch)
  local kinds = { n = {}, v = {}, w = {}, s = {} }
  for _, name in ipairs(redis.call('HKEYS', RECORDS)) do
    local kind = kinds[string.sub(name, 1, 1)]
    if kind == kinds.s then
      kind[#kind + 1] = tonumber(string.sub(name, 2))
    elseif kind then
      kind[#kind + 1] = name
    end
  end
  if #kinds.n == 0 and #kinds.w == 0 then
    purge()
    return
  end
  local live, spans = {}, {}
  each_record(kinds.n, function(name, packed)
    local ns = string.sub(name, 2, nul_in(name) - 1)
    local _, _, versions = checkpoint_of(packed)
    each_version(versions, function(channel, version)
      live['v' .. ns .. '\0' .. channel .. '\0' .. version] = true
    end)
  end)
  local function note(first, last)
    spans[#spans + 1] = { first, last }
  end
  local kept, dead = {}, {}
  for _, name in ipairs(kinds.v) do
    local list = live[name] and kept or dead
    list[#list + 1] = name
  end
  in_batches('HDEL', RECORDS, dead)
  each_record(kept, function(_, packed) each_span(layout_of_value(packed), note) end)
  each_record(kinds.w, function(_, packed) each_span(layout_of_write(packed), note) end)
  if drop_segments(kinds.s, spans) then
    redis.call('HSET', RECORDS, 'epoch', epoch)
  end
  redis.call('HINCRBY', RECORDS, 'revision', 1)
end
