-- Preamble of the scripts on one part of the registry, the list of threads.
-- KEYS: threads by last update, threads by expiry, labels.
-- A label of a thread is two members: label NUL thread, and 't' thread NUL label. Labels are 'r'
-- and a run id, 'h' and the newest checkpoint id, 'g' (the thread has garbage to collect). Each key
-- has the member NUL, so that it is never empty: a missing key was evicted.
local UPDATED, EXPIRES, LABELS = unpack(KEYS)
local MARK = '\0'

local function require_registry()
  if redis.call('EXISTS', UPDATED, EXPIRES, LABELS) < 3 then
    error('CORRUPT a part of the registry is gone, or setup() was never called', 0)
  end
end

local function add_label(thread, label)
  redis.call('ZADD', LABELS, 0, label .. '\0' .. thread, 0, 't' .. thread .. '\0' .. label)
end

local function remove_label(thread, label)
  redis.call('ZREM', LABELS, label .. '\0' .. thread, 't' .. thread .. '\0' .. label)
end

