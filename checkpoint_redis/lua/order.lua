-- Preamble of scripts that walk a thread's checkpoints, newest id first; equal ids by namespace,
-- the greatest first.

-- Compares bytes; Lua's own `<` compares by the server's locale.
local function is_less(a, b)
  for n = 1, math.min(#a, #b) do
    local x, y = string.byte(a, n), string.byte(b, n)
    if x ~= y then
      return x < y
    end
  end
  return #a < #b
end

-- Returns a cursor over a range of the thread's order, which it reads backwards, 50 members at a
-- time. `read` gets each member without its prefix `start` and returns an id and a namespace.
local function walk(max, min, start, read)
  local list, at = {}, 0
  return {
    peek = function()
      if at == #list and max then
        list = redis.call('ZREVRANGEBYLEX', ORDER, max, min, 'LIMIT', 0, 50)
        at, max = 0, #list == 50 and '(' .. list[50] or nil
      end
      if list[at + 1] then
        return read(string.sub(list[at + 1], #start + 1))
      end
    end,
    skip = function() at = at + 1 end,
  }
end

local function split(text)
  local at = nul_in(text)
  return string.sub(text, 1, at - 1), string.sub(text, at + 1)
end

-- Returns a cursor over the checkpoints of one namespace.
local function in_namespace(ns, high)
  local start = 'n' .. ns .. '\0'
  local max = high.id and (high.inclusive and '[' or '(') .. start .. high.id or '(' .. start .. '\255'
  return walk(max, '[' .. start .. (high.only or ''), start, function(id) return id, ns end)
end

-- Returns a cursor over the checkpoints of all namespaces but the root's ('').
local function elsewhere(high)
  local max = '(b'
  if high.position then
    max = '(a' .. high.id .. '\0' .. high.position
  elseif high.only then
    max = '(a' .. high.id .. '\1'
  elseif high.id then
    max = '(a' .. high.id
  end
  return walk(max, '[a' .. (high.only and high.only .. '\0' or ''), 'a', split)
end

-- Returns a cursor over all namespaces: it merges the root's with the others.
local function everywhere(high)
  local root = { id = high.id, only = high.only, inclusive = high.inclusive }
  if high.position and high.position ~= '' then
    root.inclusive = true
  end
  local one, other = in_namespace('', root), elsewhere(high)
  local from
  return {
    peek = function()
      local a, a_ns = one.peek()
      local b, b_ns = other.peek()
      if a and (not b or is_less(b, a)) then
        from = one
        return a, a_ns
      end
      from = other
      return b, b_ns
    end,
    skip = function() from.skip() end,
  }
end

-- Reads a range from ARGV and returns a cursor over it. ARGV: '1' or '0' and a namespace to list
-- alone; '1' or '0' and an upper bound of ids (exclusive); '1' or '0' and the namespace at which a
-- previous page ended within the bound's id; '1' or '0' and the only id to list.
local function checkpoints()
  local given, ns, bounded, id, is_position, position, only = arg() == '1', arg(), arg() == '1', arg(),
    arg() == '1', arg(), arg() == '1'
  local high = { id = bounded and id or nil, position = is_position and position or nil }
  if only then
    high.only = arg()
    if not is_position then
      high.inclusive = true
    end
  else
    arg()
  end
  return given and in_namespace(ns, high) or everywhere(high)
end
