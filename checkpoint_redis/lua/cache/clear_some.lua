-- Removes entries of a namespace. ARGV: how many at most; the prefix of their ids. Reply: how many.
-- ('g' sorts after every hexadecimal digit of an id.)
local first, last = '[' .. ARGV[2], '(' .. ARGV[2] .. 'g'
return remove_all(redis.call('ZRANGEBYLEX', NAMES, first, last, 'LIMIT', 0, tonumber(ARGV[1])))
