-- Removing checkpoints, and what nothing refers to afterwards. All is read before anything is
-- removed: a damaged record ends the script with the thread as it was.
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

-- the starts of those segments that no span needs
local function dead_segments(starts, spans)
  table.sort(starts)
  local ranges, at, dead = merged(spans), 1, {}
  for _, start in ipairs(starts) do
    local stop = start + redis.call('HSTRLEN', RECORDS, 's' .. string.format('%.0f', start))
    while ranges[at] and ranges[at][2] <= start do
      at = at + 1
    end
    if not ranges[at] or ranges[at][1] >= stop then
      dead[#dead + 1] = start
    end
  end
  return dead
end

local function fields_by_kind()
  local kinds = { n = {}, v = {}, w = {}, s = {} }
  for _, name in ipairs(redis.call('HKEYS', RECORDS)) do
    local kind = kinds[string.sub(name, 1, 1)]
    if kind == kinds.s then
      kind[#kind + 1] = tonumber(string.sub(name, 2))
    elseif kind then
      kind[#kind + 1] = name
    end
  end
  return kinds
end

-- Removes the checkpoints of which is_doomed(name, run) with their writes, the writes of the set `early`,
-- values that no checkpoint has, segments that no value needs, and the thread if it is empty. A
-- writer that knows removed segments must look again: the thread gets another epoch.
local function collect(epoch, is_doomed, early)
  local kinds = fields_by_kind()
  local fields, members = {}, {} -- to be removed
  local doomed, runs, other_runs = {}, {}, {}
  local live, kept, spans, checkpoints = {}, {}, {}, 0
  each_record(kinds.n, function(name, packed)
    local at = nul_in(name)
    local ns, id = string.sub(name, 2, at - 1), string.sub(name, at + 1)
    local _, run, versions = checkpoint_of(packed)
    if not is_doomed(name, run) then
      checkpoints = checkpoints + 1
      other_runs[run or false] = true
      each_version(versions, function(channel, version, mark)
        if not mark then
          live['v' .. ns .. '\0' .. channel .. '\0' .. version] = true
        end
      end)
      return
    end
    doomed[name], runs[run or false] = true, true
    fields[#fields + 1] = name
    members[#members + 1], members[#members + 2] = name, 'a' .. id .. '\0' .. ns
  end)
  local writes = {}
  for _, name in ipairs(kinds.w) do
    local place = string.sub(name, 2, nul_in(name, nul_in(name) + 1) - 1)
    if early[name] or doomed['n' .. place] then
      fields[#fields + 1], members[#members + 1] = name, name
    else
      writes[#writes + 1] = name
    end
  end
  if checkpoints == 0 and #writes == 0 then
    purge()
    return
  end
  for _, name in ipairs(kinds.v) do
    local list = live[name] and kept or fields
    list[#list + 1] = name
  end
  local function note(first, last)
    spans[#spans + 1] = { first, last }
  end
  each_record(kept, function(_, packed) each_span(layout_of_value(packed), note) end)
  each_record(writes, function(_, packed) each_span(layout_of_write(packed), note) end)
  local dead = dead_segments(kinds.s, spans)
  for _, start in ipairs(dead) do
    local name = string.format('%.0f', start)
    fields[#fields + 1], fields[#fields + 2] = 's' .. name, 'd' .. name
    members[#members + 1] = segment_member(start)
  end

  in_batches('HDEL', RECORDS, fields)
  in_batches('ZREM', ORDER, members)
  redis.call('HDEL', RECORDS, 'garbage')
  if RUNS then
    redis.call('ZREM', RUNS, 'g' .. THREAD)
    for run in pairs(runs) do
      if run and not other_runs[run] then
        forget_run(run)
      end
    end
  end
  if #dead > 0 then
    redis.call('HSET', RECORDS, 'epoch', epoch)
  end
  redis.call('HINCRBY', RECORDS, 'revision', 1)
end
