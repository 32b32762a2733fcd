-- Removes the checkpoints of some runs. ARGV: an epoch, runs.
local epoch, runs = arg(), args()
if not EPOCH then
  return 0
end
local gone = 0
for _, run in ipairs(runs) do
  local start = 'r' .. run .. '\0'
  for _, member in ipairs(named(start)) do
    local rest = string.sub(member, #start + 1)
    local at = nul_in(rest)
    drop_checkpoint(string.sub(rest, 1, at - 1), string.sub(rest, at + 1))
    gone = gone + 1
  end
end
if gone > 0 then
  collect(epoch)
end
return gone
