-- name: has_migrations
SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'store_schema'

-- name: create_migrations
CREATE TABLE IF NOT EXISTS store_schema (number INTEGER PRIMARY KEY, applied_at REAL NOT NULL)

-- name: applied_migrations
SELECT number FROM store_schema

-- name: note_migration
INSERT INTO store_schema (number, applied_at) VALUES (?, ?)

-- name: put_item
INSERT INTO store_items (ns, key, value, created_at, updated_at, expires_at, ttl, keys)
VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?8)
ON CONFLICT (ns, key) DO UPDATE SET
    value = excluded.value,
    created_at = CASE WHEN expires_at <= ?7 THEN excluded.created_at ELSE created_at END,
    updated_at = excluded.updated_at,
    expires_at = excluded.expires_at,
    ttl = excluded.ttl,
    keys = excluded.keys

-- name: delete_item
DELETE FROM store_items WHERE ns = ? AND key = ?

-- name: has_embeddings
SELECT 1 FROM store_embeddings LIMIT 1

-- name: put_embeddings
INSERT OR REPLACE INTO store_embeddings (item, count, texts, data)
SELECT id, ?3, ?4, ?5 FROM store_items WHERE ns = ?1 AND key = ?2

-- name: delete_embeddings
DELETE FROM store_embeddings
WHERE item = (SELECT id FROM store_items WHERE ns = ? AND key = ?)

-- name: forget_changes
DELETE FROM store_changes WHERE change <= (SELECT max(change) FROM store_changes) - ?

-- name: last_change
SELECT max(change) FROM store_changes

-- name: first_change
SELECT min(change) FROM store_changes

-- name: changed_items
SELECT DISTINCT item FROM store_changes WHERE change > ? LIMIT ?

-- name: count_embeddings
SELECT coalesce(sum(count), 0) FROM store_embeddings

-- name: all_embeddings
SELECT e.item, i.ns, i.key, e.count, e.data
FROM store_embeddings AS e CROSS JOIN store_items AS i ON i.id = e.item
WHERE e.item > ? ORDER BY e.item LIMIT ?

-- name: refresh_item
UPDATE store_items SET expires_at = ?1 + ttl * 60.0
WHERE ns = ?2 AND key = ?3 AND ttl IS NOT NULL AND (?4 IS NULL OR expires_at > ?4)

-- name: sweep
DELETE FROM store_items WHERE expires_at <= ?

-- name: server_version
SELECT 'SQLite ' || sqlite_version()

-- name: stats
SELECT
    (SELECT count(*) FROM store_items),
    (SELECT coalesce(sum(count), 0) FROM store_embeddings),
    (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)
