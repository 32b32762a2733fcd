-- Reads the newest checkpoint of each namespace, or those of the given names that exist. A checkpoint
-- of LangGraph's format 3 or older also needs its parent if that has writes to the channel.
-- ARGV: the channel; names of checkpoints (none: the newest of each namespace).
-- Reply: nil if the thread does not exist; its state; its expiry ('' for never); (namespace, id,
-- record, '1' if the parent is needed, else '0') of each checkpoint; its salt.
require_intact()
if ABSENT then
  return false
end
local channel, names, heads = arg(), args(), {}

local function add(name)
  local packed = redis.call('HGET', RECORDS, name)
  if not packed and not redis.call('ZSCORE', ORDER, name) then
    return
  end
  local at = nul_in(name)
  local ns, id = string.sub(name, 2, at - 1), string.sub(name, at + 1)
  local parent, _, _, _, v = checkpoint_of(packed)
  local has_sends = '0'
  if parent and v < 4 then
    for _, write in ipairs(named('w' .. ns .. '\0' .. parent .. '\0')) do
      local _, written = layout_of_write(redis.call('HGET', RECORDS, write))
      if written == channel then
        has_sends = '1'
      end
    end
  end
  for _, piece in ipairs({ ns, id, packed, has_sends }) do
    heads[#heads + 1] = piece
  end
end

for _, name in ipairs(names) do
  add(name)
end
local max = #names == 0 and '(o'
while max do
  local newest = redis.call('ZREVRANGEBYLEX', ORDER, max, '[n', 'LIMIT', 0, 1)[1]
  if newest then
    add(newest)
  end
  max = newest and '(' .. string.sub(newest, 1, nul_in(newest))
end
return { state_now(), DUE and state[3] or '', heads, SALT }
