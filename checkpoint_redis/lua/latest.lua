-- Reads the newest checkpoint of each namespace. A checkpoint of LangGraph's format 3 or older also
-- needs its parent if that has writes to the channel.
-- ARGV: the channel.
-- Reply: nil if the thread does not exist; its state; its expiry ('' for never); (namespace, id,
-- record, '1' if the parent is needed, else '0') of each checkpoint; its salt.
require_intact()
if ABSENT then
  return false
end
local channel, heads = arg(), {}
local max = '(o'
while true do
  local newest = redis.call('ZREVRANGEBYLEX', ORDER, max, '[n', 'LIMIT', 0, 1)[1]
  if not newest then
    break
  end
  local at = nul_in(newest)
  local ns, id = string.sub(newest, 2, at - 1), string.sub(newest, at + 1)
  local packed = redis.call('HGET', RECORDS, newest)
  local parent, _, _, _, v = checkpoint_of(packed)
  local has_sends = '0'
  if parent and v < 4 then
    for _, name in ipairs(named('w' .. ns .. '\0' .. parent .. '\0')) do
      local _, written = layout_of_write(redis.call('HGET', RECORDS, name))
      if written == channel then
        has_sends = '1'
      end
    end
  end
  for _, piece in ipairs({ ns, id, packed, has_sends }) do
    heads[#heads + 1] = piece
  end
  max = '(n' .. ns .. '\0'
end
return { state_now(), DUE and state[3] or '', heads, SALT }
