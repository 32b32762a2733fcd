-- Scripts that need all of a thread.
if DAMAGE then
  corrupt(DAMAGE)
end
