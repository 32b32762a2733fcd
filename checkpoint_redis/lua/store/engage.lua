-- Begins to keep a vector set, if the server has them. ARGV: links of a node, candidates while it is
-- built. Replies what the store has now: '' (nothing), 'building' or 'set'.
if not counters[5] then
  local told = redis.pcall('VCARD', GRAPH)
  if type(told) == 'table' and told.err then
    return ''
  end
  redis.call('UNLINK', GRAPH)
  redis.call('HSET', COUNTERS, 'engine', 'building', 'm', arg(), 'ef', arg(), 'revision', REVISION)
  return 'building'
end
return counters[5]
