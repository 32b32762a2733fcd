-- Removes the checkpoints of some runs. ARGV: an epoch, runs.
local epoch, is_of = arg(), {}
for _, run in ipairs(args()) do
  is_of[run] = true
end
if EPOCH then
  collect(epoch, function(_, run) return run and is_of[run] end, {})
end
return 1
