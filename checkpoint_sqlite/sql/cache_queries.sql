-- name: has_migrations
SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'cache_schema'

-- name: create_migrations
CREATE TABLE IF NOT EXISTS cache_schema (number INTEGER PRIMARY KEY, applied_at REAL NOT NULL)

-- name: applied_migrations
SELECT number FROM cache_schema

-- name: note_migration
INSERT INTO cache_schema (number, applied_at) VALUES (?, ?)

-- name: get
SELECT e.id, e.data, e.expires_at
FROM json_each(?1) AS want CROSS JOIN cache_entries AS e ON e.id = want.value
WHERE e.expires_at IS NULL OR e.expires_at > ?2

-- name: put
INSERT INTO cache_entries (id, data, size, expires_at, stored_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    data = excluded.data,
    size = excluded.size,
    expires_at = excluded.expires_at,
    stored_at = excluded.stored_at

-- name: delete
DELETE FROM cache_entries WHERE id IN (SELECT value FROM json_each(?))

-- name: clear
DELETE FROM cache_entries

-- name: clear_some
-- ?1: JSON, [first, end] of each range of ids
DELETE FROM cache_entries WHERE id IN (
    SELECT e.id FROM json_each(?1) AS part CROSS JOIN cache_entries AS e
        ON e.id >= json_extract(part.value, '$[0]') AND e.id < json_extract(part.value, '$[1]')
)

-- name: sweep
DELETE FROM cache_entries WHERE expires_at <= ?

-- name: trim
DELETE FROM cache_entries WHERE id IN (
    SELECT id FROM (
        SELECT id, sum(size) OVER (ORDER BY stored_at DESC, id ROWS UNBOUNDED PRECEDING) AS total
        FROM cache_entries
    )
    WHERE total > ?
)

-- name: server_version
SELECT 'SQLite ' || sqlite_version()

-- name: stats
SELECT count(*), coalesce(sum(size), 0) FROM cache_entries
