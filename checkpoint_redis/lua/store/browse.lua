-- Items, newest first, then by name. ARGV (behind the filter's): the namespace they are in, how many
-- to leave out, how many to give, how many to look at, whether that moves their expiry, where to
-- go on ('' or the negated time), the name there. Replies (name, packed) of each, joined, where
-- it stopped, and how many are still to be left out.
local ns, offset, count, patience = arg(), tonumber(arg()), tonumber(arg()), tonumber(arg())
local moves, from, behind = arg() == '1', arg(), arg()
local found, last = {}, {}
local sub = string.sub

local function is_less(a, b)
  for n = 1, math.min(#a, #b) do
    local x, y = string.byte(a, n), string.byte(b, n)
    if x ~= y then
      return x < y
    end
  end
  return #a < #b
end

-- whether to go on; `names`, a few hundred at most, are in order
local function look(names, scores)
  if #names == 0 then
    return true
  end
  local some = redis.call('HMGET', ITEMS, unpack(names))
  for n, name in ipairs(names) do
    if may_match(some[n]) then
      if offset > 0 then
        offset = offset - 1
      else
        found[#found + 1] = name
        found[#found + 1] = moves and refreshed(name, some[n]) or some[n]
      end
    end
    patience = patience - 1
    if #found == 2 * count or patience <= 0 then
      last = { scores and scores[n] or redis.call('ZSCORE', UPDATED, name), name }
      return false
    end
  end
  return true
end

local function behind_start(score, name)
  if from == '' or tonumber(score) ~= tonumber(from) then
    return true
  end
  return is_less(behind, name)
end

-- the newest of all, by rank
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

local function by_name(low, high)
  local names = redis.call('ZRANGEBYLEX', NAMES, low, high)
  local order, scores = {}, {}
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
  table.sort(order, function(a, b)
    if scores[a] ~= scores[b] then
      return scores[a] < scores[b]
    end
    return a < b
  end)
  for first = 1, #order, 50 do
    local some, times = {}, {}
    for n = first, math.min(first + 49, #order) do
      some[#some + 1] = names[order[n]]
      times[#times + 1] = string.format('%.17g', scores[order[n]])
    end
    if not look(some, times) then
      return
    end
  end
end

if ns == '' then
  by_time()
else
  local low, high = '[' .. ns, '(' .. string.sub(ns, 1, -2) .. '\2'
  local inside = redis.call('ZLEXCOUNT', NAMES, low, high)
  if inside > 500 and inside * 8 > total then
    by_time()
  elseif inside > 0 then
    by_name(low, high)
  end
end
return { joined(found), last, offset }
