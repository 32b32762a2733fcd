-- Entries of a cache. An id is a digest of the namespace, and one of the key. Unlogged: what is lost
-- in a crash is made again, and nothing of it has to be written twice.
CREATE UNLOGGED TABLE {schema}.cache_entries (
    id text COLLATE "C" PRIMARY KEY,
    data bytea NOT NULL,
    size integer NOT NULL,
    expires_at double precision,
    stored_at double precision NOT NULL
);
ALTER TABLE {schema}.cache_entries ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE INDEX cache_entries_expires ON {schema}.cache_entries (expires_at)
    WHERE expires_at IS NOT NULL;

-- all that removing the oldest looks at
CREATE INDEX cache_entries_stored ON {schema}.cache_entries (stored_at DESC, id, size);
