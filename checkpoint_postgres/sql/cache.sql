-- name: has_migrations
SELECT 1 WHERE to_regclass('{schema}.cache_schema') IS NOT NULL

-- name: create_migrations
CREATE TABLE IF NOT EXISTS {schema}.cache_schema
    (number integer PRIMARY KEY, applied_at double precision NOT NULL)

-- name: applied_migrations
SELECT number FROM {schema}.cache_schema

-- name: note_migration
INSERT INTO {schema}.cache_schema (number, applied_at) VALUES ($1, $2)

-- name: get
SELECT id, data, expires_at FROM {schema}.cache_entries
WHERE id = ANY (ARRAY(SELECT json_array_elements_text($1::json)))
    AND (expires_at IS NULL OR expires_at > $2::double precision)

-- name: put
-- The entries are sorted by id, so that puts lock rows in one order, and avoid deadlocks.
INSERT INTO {schema}.cache_entries (id, data, size, expires_at, stored_at)
SELECT e.id, e.data, octet_length(e.data), e.expires_at, $4::double precision
FROM unnest($1::text[], $2::bytea[], $3::double precision[]) AS e (id, data, expires_at)
ON CONFLICT (id) DO UPDATE SET
    data = excluded.data,
    size = excluded.size,
    expires_at = excluded.expires_at,
    stored_at = excluded.stored_at
RETURNING 1

-- name: delete
WITH gone AS (
    DELETE FROM {schema}.cache_entries
    WHERE id = ANY (ARRAY(SELECT json_array_elements_text($1::json)))
    RETURNING 1
)
SELECT count(*) FROM gone

-- name: clear
WITH gone AS (
    DELETE FROM {schema}.cache_entries
    RETURNING 1
)
SELECT count(*) FROM gone

-- name: clear_some
-- $1: JSON, [first, end] of each range of ids
WITH gone AS (
    DELETE FROM {schema}.cache_entries AS e USING json_array_elements($1::json) AS part
    WHERE e.id >= (part ->> 0) COLLATE "C" AND e.id < (part ->> 1) COLLATE "C"
    RETURNING 1
)
SELECT count(*) FROM gone

-- name: sweep
WITH gone AS (
    DELETE FROM {schema}.cache_entries WHERE expires_at <= $1::double precision
    RETURNING 1
)
SELECT count(*) FROM gone

-- name: trim
WITH gone AS (
    DELETE FROM {schema}.cache_entries WHERE id IN (
        SELECT id FROM (
            SELECT id, sum(size) OVER (ORDER BY stored_at DESC, id ROWS UNBOUNDED PRECEDING) AS total
            FROM {schema}.cache_entries
        ) AS kept
        WHERE total > $1::bigint
    )
    RETURNING 1
)
SELECT count(*) FROM gone

-- name: server_version
SELECT 'Postgres ' || split_part(current_setting('server_version'), ' ', 1)

-- name: stats
SELECT count(*), coalesce(sum(size), 0) FROM {schema}.cache_entries
