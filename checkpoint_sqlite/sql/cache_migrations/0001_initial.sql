-- Entries of a cache. An id is a digest of the namespace, and one of the key.
CREATE TABLE cache_entries (
    id TEXT PRIMARY KEY,
    data BLOB NOT NULL,
    size INTEGER NOT NULL,
    expires_at REAL,
    stored_at REAL NOT NULL
);
CREATE INDEX cache_entries_expires ON cache_entries (expires_at) WHERE expires_at IS NOT NULL;

-- all that removing the oldest looks at
CREATE INDEX cache_entries_stored ON cache_entries (stored_at DESC, id, size);
