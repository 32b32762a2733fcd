-- Scripts that write to the registry. KEYS: by update, by expiry, by run.
local UPDATED, EXPIRES, RUNS = unpack(KEYS)
