-- Reads, or first stores, the schema version; and reads the server's name and version.
-- KEYS: the schema version. ARGV: the version to store if there is none ('' to read only).
-- Reply: the version ('' for none), and the section `server` of INFO. If the ACL denies INFO, a
-- line with the version that the server gives to scripts ('' from servers that give none).
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
