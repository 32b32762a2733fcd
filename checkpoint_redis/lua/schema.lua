-- The version of what is stored, and the server.
-- KEYS: where the version is noted. ARGV: the one to note ('' to look).
-- Reply: the version ('' for none), and what the server says about itself; to a user who may not ask, what
-- every script knows of it.
if ARGV[1] ~= '' then
  redis.call('SET', KEYS[1], ARGV[1], 'NX')
end
local version = redis.call('GET', KEYS[1]) or ''
local told = redis.pcall('INFO', 'server')
if type(told) == 'string' then
  return { version, told }
elseif redis.VALKEY_VERSION then
  return { version, 'valkey_version:' .. redis.VALKEY_VERSION }
end
return { version, redis.REDIS_VERSION and 'redis_version:' .. redis.REDIS_VERSION or '' }
