-- Lists threads by the id of their newest checkpoint, the newest first. That checkpoint may have
-- been deleted since.
-- ARGV: the last member of the previous page ('' for the first page); page size.
-- Reply: members, each 'h' id NUL thread.
require_registry()
local max = ARGV[1] == '' and '(i' or '(' .. ARGV[1]
return redis.call('ZREVRANGEBYLEX', LABELS, max, '[h', 'LIMIT', 0, ARGV[2])
