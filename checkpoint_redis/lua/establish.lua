-- Makes a part of the registry.
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, key == RUNS and 0 or '-inf', '\0')
end
return 1
