-- Searches items by namespace and filter, the last updated first, equal times by name. It chooses
-- one of four plans: by declared field (by_key, by_keys), by update time (by_time) or by namespace
-- (by_name).
-- ARGV: those of filters.lua; spans of declared fields (path, least key, greatest key, '1' if both
-- are the same); namespace prefix; how many matches to skip, to return, and how many items to
-- examine; '1' if this read refreshes the expiry; negated update time and name of the last item
-- that the previous call examined ('' at the start).
-- Reply: (name, packed) of each item, joined; negated update time and name of the last item
-- examined (empty at the end); how many matches are still to be skipped; the server's error if it
-- refused to refresh an expiry (else '').
local SPANS = args()
local ns, offset, count, patience = arg(), tonumber(arg()), tonumber(arg()), tonumber(arg())
local moves, from, behind = arg() == '1', arg(), arg()
local found, last = {}, {}
local sub = string.sub

-- Examines items in the order given, a few hundred at most. Returns false if the script is done.
local function look(names, scores)
  local first, size = 1, offset + count - #found / 2
  while first <= #names do
    local stop = math.min(first + size - 1, #names)
    local some = redis.call('HMGET', ITEMS, unpack(names, first, stop))
    for n = first, stop do
      local packed = some[n - first + 1]
      if may_match(packed) then
        if offset > 0 then
          offset = offset - 1
        else
          found[#found + 1] = names[n]
          found[#found + 1] = moves and refreshed_if_possible(names[n], packed) or packed
        end
      end
      patience = patience - 1
      if #found == 2 * count or patience <= 0 then
        last = { scores and scores[n] or redis.call('ZSCORE', UPDATED, names[n]), names[n] }
        return false
      end
    end
    first, size = stop + 1, 4 * size
  end
  return true
end

local function behind_start(score, name)
  if from == '' or tonumber(score) ~= tonumber(from) then
    return true
  end
  return is_less(behind, name)
end

-- by_time from the start, by rank. An item outside the namespace costs a tenth of one examined.
local function from_start()
  local at, size = 0, 4 * count
  while true do
    size = math.min(math.max(size, 50), 200)
    local some = redis.call('ZRANGE', UPDATED, at, at + size - 1)
    local names, inside = {}, 0
    for _, name in ipairs(some) do
      if sub(name, 1, #ns) == ns then
        inside = inside + 1
        names[inside] = name
      end
    end
    patience = patience - 0.1 * (#some - inside)
    if not look(names) or #some < size then
      return
    end
    at = at + size
  end
end

local function by_time()
  if from == '' then
    return from_start()
  end
  local at = 0
  while true do
    local some = redis.call('ZRANGEBYSCORE', UPDATED, from, '+inf', 'WITHSCORES', 'LIMIT', at, 200)
    local names, scores = {}, {}
    for n = 1, #some, 2 do
      if sub(some[n], 1, #ns) == ns and behind_start(some[n + 1], some[n]) then
        names[#names + 1], scores[#scores + 1] = some[n], some[n + 1]
      else
        patience = patience - 0.1
      end
    end
    if not look(names, scores) or #some < 400 then
      return
    end
    at = at + 200
  end
end

-- Sorts `order`, indexes into names and scores, and examines the items. Returns false if the script
-- is done.
local function look_in_order(names, scores, order, is_before)
  table.sort(order, function(a, b)
    if scores[a] ~= scores[b] then
      return scores[a] < scores[b]
    end
    return is_before(a, b)
  end)
  for first = 1, #order, 50 do
    local some, times = {}, {}
    for n = first, math.min(first + 49, #order) do
      some[#some + 1] = names[order[n]]
      times[#times + 1] = string.format('%.17g', scores[order[n]])
    end
    if not look(some, times) then
      return false
    end
  end
  return true
end

-- Examines items in order. It first sorts only the newest few, which mostly suffice.
local function in_order(names, scores, order, is_before)
  local few = 2 * (offset + count)
  if #order > 2 * few then
    local times, first, rest = {}, {}, {}
    for n, at in ipairs(order) do
      times[n] = scores[at]
    end
    table.sort(times)
    for _, at in ipairs(order) do
      local part = scores[at] <= times[few] and first or rest
      part[#part + 1] = at
    end
    if not look_in_order(names, scores, first, is_before) then
      return
    end
    order = rest
  end
  look_in_order(names, scores, order, is_before)
end

-- Returns the negated update times of names, and the indexes of those after the previous call's
-- last.
local function scored(names)
  local scores, order = {}, {}
  for first = 1, #names, BATCH do
    local stop = math.min(first + BATCH - 1, #names)
    for n, score in ipairs(redis.call('ZMSCORE', UPDATED, unpack(names, first, stop))) do
      local at = first + n - 1
      scores[at] = tonumber(score)
      if (from == '' or scores[at] >= tonumber(from)) and behind_start(score, names[at]) then
        order[#order + 1] = at
      end
    end
  end
  return scores, order
end

local function by_name(low, high)
  local names = redis.call('ZRANGEBYLEX', NAMES, low, high)
  local scores, order = scored(names)
  in_order(names, scores, order, function(a, b)
    return a < b
  end)
end

-- Examines the items that have one key at a declared field. The index has them in the order of the
-- search. `low` ends with NUL.
local function by_key(low, high)
  local at = '[' .. low
  if from ~= '' then
    at = '(' .. low .. sortable(tonumber(from)) .. behind
  end
  local size = math.min(math.max(2 * count, 20), 200)
  while true do
    local some = redis.call('ZRANGEBYLEX', FIELDS, at, '(' .. high, 'LIMIT', 0, size)
    local names = {}
    for _, member in ipairs(some) do
      local name = sub(member, #low + 9)
      if sub(name, 1, #ns) == ns then
        names[#names + 1] = name
      end
    end
    patience = patience - 0.1 * (#some - #names)
    if not look(names) or #some < size then
      return
    end
    at = '(' .. some[#some]
  end
end

-- Examines the items whose keys at a declared field are in a range. They are sorted here.
local function by_keys(path, low, high)
  local names = {}
  for _, member in ipairs(redis.call('ZRANGEBYLEX', FIELDS, '[' .. low, '(' .. high)) do
    local name = sub(member, find(member, '\0', #path + 2, true) + 9)
    if sub(name, 1, #ns) == ns then
      names[#names + 1] = name
    end
  end
  local scores, order = scored(names)
  in_order(names, scores, order, function(a, b)
    return is_less(names[a], names[b])
  end)
end

-- Chooses the span that selects the fewest items, among the fields whose index is complete. Returns
-- how many (501 for more than 500 or no span), the span's place in SPANS (0 for none), and its
-- bounds.
local function least()
  local size, best, low, high = 501, 0, '', ''
  for n = 1, #SPANS, 4 do
    local place, is_key = place_of(SPANS[n]), SPANS[n + 3] == '1'
    if place and place <= COMPLETE then
      local first = SPANS[n] .. '\0' .. SPANS[n + 1] .. (is_key and '\0' or '')
      local last = SPANS[n] .. '\0' .. SPANS[n + 2] .. '\1'
      local some = redis.call('ZLEXCOUNT', FIELDS, '[' .. first, '(' .. last)
      if some < size or (best == 0 and is_key) then
        size, best, low, high = some, n, first, last
      end
    end
  end
  return size, best, low, high
end

local size, best, first, stop = least()
local low, high, inside = '-', '+', total
if ns ~= '' then
  low, high = '[' .. ns, '(' .. string.sub(ns, 1, -2) .. '\2'
  inside = redis.call('ZLEXCOUNT', NAMES, low, high)
end
local is_key = best > 0 and SPANS[best + 3] == '1'
if best > 0 and size <= inside and (is_key or 2 * size * size < total * count) then
  if is_key then
    by_key(first, stop)
  else
    by_keys(SPANS[best], first, stop)
  end
elseif ns == '' or inside > 500 and inside * 8 > total then
  by_time()
elseif inside > 0 then
  by_name(low, high)
end
return { joined(found), last, offset, not_moved }
