-- Threads by the id of their newest checkpoint, the newest first. It may have been deleted since.
-- ARGV: a member to go on behind ('' for the first), how many.
-- Reply: members, 'h' id NUL thread.
require_registry()
local max = ARGV[1] == '' and '(i' or '(' .. ARGV[1]
return redis.call('ZREVRANGEBYLEX', LABELS, max, '[h', 'LIMIT', 0, ARGV[2])
