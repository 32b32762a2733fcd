-- What the server says about itself; to a user who may not ask, what every script knows of it.
local told = redis.pcall('INFO', 'server')
if type(told) == 'string' then
  return told
elseif redis.VALKEY_VERSION then
  return 'valkey_version:' .. redis.VALKEY_VERSION
end
return redis.REDIS_VERSION and 'redis_version:' .. redis.REDIS_VERSION or ''
