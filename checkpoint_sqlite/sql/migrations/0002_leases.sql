-- Which process does what one process does for all: `name` is the work, `expires_at` in epoch seconds
-- by the clock of the database.
CREATE TABLE saver_leases (
    name TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    expires_at REAL NOT NULL
) WITHOUT ROWID;
