-- Walks from a checkpoint to its ancestors until each delta channel has a stored value.
-- ARGV: those of expiry.lua; '1' if this read refreshes the expiry; namespace; checkpoint id (''
-- for the newest); '1' if values and writes are to be returned; channels.
-- Reply: nil if the checkpoint does not exist; else a response (response.lua), (id, parent,
-- versions, link checksum) of each ancestor, the nearest first, and (channel, version, number of
-- the ancestor) for each channel whose value was found.
require_intact()
if ABSENT then
  return false
end
local moves, ns = arg() == '1', arg()
local id, packed = checkpoint_at(ns, arg())
local whole, channels = arg() == '1', args()
if not packed then
  return false
end
if moves then
  refresh()
end
tell('c', ns, id, packed)
local wanted, left, visited = {}, 0, { [id] = true }
for _, channel in ipairs(channels) do
  if not wanted[channel] then
    wanted[channel], left = true, left + 1
  end
end
local chain, seeds = {}, {}
local at = checkpoint_of(packed)
while at and left > 0 and not visited[at] do
  visited[at] = true
  packed = record_of(ns, at)
  if not packed then
    break
  end
  local parent, _, versions = checkpoint_of(packed)
  for _, piece in ipairs({ at, parent or '', versions, link_checksum_of(packed) }) do
    chain[#chain + 1] = piece
  end
  local is_told = false
  each_version(versions, function(channel, version, mark)
    if not wanted[channel] or mark == '-' then
      return
    end
    wanted[channel], left = nil, left - 1
    seeds[#seeds + 1], seeds[#seeds + 2], seeds[#seeds + 3] = channel, version, tostring(#chain / 4)
    if mark == '=' then
      if whole and not is_told then
        is_told = true
        tell('c', ns, at, packed)
      end
      return
    end
    local name = 'v' .. ns .. '\0' .. channel .. '\0' .. version
    if redis.call('HEXISTS', RECORDS, name) == 0 then
      corrupt('a stored value of a channel is gone')
    elseif whole then
      add_records('v', { name }, layout_of_value)
    end
  end)
  if whole then
    add_writes(ns, at)
  end
  at = parent
end
return response(chain, seeds)
