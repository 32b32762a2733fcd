-- Creates a vector index, if the server can keep one: the Query Engine's, or for cosine a vector
-- set. An index of other dimensions or another metric stays until it is empty.
-- ARGV: dimensions, metric, links of a node (M), candidates during the build (EF_CONSTRUCTION).
-- Reply: the state of the store's index of these dimensions and this metric: '' (there is none),
-- 'building' or 'ready'.
local dims, metric, m, ef = arg(), arg(), arg(), arg()
local function has_failed(told)
  return type(told) == 'table' and told.err
end
local function is_in_use()
  if counters[5] == 'building' then
    return true
  elseif counters[8] == 'set' then
    return redis.call('EXISTS', GRAPH) == 1
  end
  local told = redis.pcall('FT.SEARCH', GRAPH, '*', 'LIMIT', 0, 0)
  return not has_failed(told) and told[1] > 0
end

if counters[5] and counters[13] == dims and counters[14] == metric then
  return counters[5]
elseif counters[5] and counters[13] and is_in_use() then
  return ''
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
  'dims', dims, 'metric', metric, 'revision', REVISION)
return 'building'
