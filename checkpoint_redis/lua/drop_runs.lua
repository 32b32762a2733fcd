-- Removes the checkpoints of some runs. ARGV: an epoch, runs.
local epoch, runs = arg(), args()
if not EPOCH then
  return 0
end
local doomed, gone = {}, 0
for _, run in ipairs(runs) do
  local start = 'r' .. run .. '\0'
  for _, member in ipairs(named(start)) do
    doomed['n' .. string.sub(member, #start + 1)] = true
    gone = gone + 1
  end
end
if gone > 0 then
  collect(epoch, doomed, {})
end
return gone
