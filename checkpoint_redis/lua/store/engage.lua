-- Begins to keep an index, if the server can: the Query Engine's, or for cosine a vector set. ARGV:
-- dimensions, metric, links of a node, candidates while it is built. Replies the state of what the
-- store has now: '' (nothing), 'building' or 'ready'.
local dims, metric, m, ef = arg(), arg(), arg(), arg()
if counters[5] then
  return counters[5]
end
local function has_failed(told)
  return type(told) == 'table' and told.err
end

local kind = 'query'
if has_failed(redis.pcall('FT._LIST')) then
  kind = 'set'
  if metric ~= 'COSINE' or has_failed(redis.pcall('VCARD', GRAPH)) then
    return ''
  end
  redis.call('UNLINK', GRAPH)
else
  redis.pcall('FT.DROPINDEX', GRAPH, 'DD')
  if has_failed(redis.pcall('FT.CREATE', GRAPH, 'ON', 'HASH', 'PREFIX', 1, GRAPH .. ':', 'SCHEMA',
      'ns', 'TAG', 'CASESENSITIVE', 'v', 'VECTOR', 'HNSW', 10, 'TYPE', 'FLOAT32', 'DIM', dims,
      'DISTANCE_METRIC', metric, 'M', m, 'EF_CONSTRUCTION', ef)) then
    return ''
  end
end
redis.call('HSET', COUNTERS, 'engine', 'building', 'kind', kind, 'm', m, 'ef', ef,
  'revision', REVISION)
return 'building'
