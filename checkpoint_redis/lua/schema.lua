-- The version of what is stored. KEYS: where it is noted. ARGV: the one to note ('' to look).
if ARGV[1] ~= '' then
  redis.call('SET', KEYS[1], ARGV[1], 'NX')
end
return redis.call('GET', KEYS[1]) or ''
