-- name: has_migrations
SELECT 1 WHERE to_regclass('{schema}.store_schema') IS NOT NULL

-- name: create_migrations
CREATE TABLE IF NOT EXISTS {schema}.store_schema
    (number integer PRIMARY KEY, applied_at double precision NOT NULL)

-- name: applied_migrations
SELECT number FROM {schema}.store_schema

-- name: note_migration
INSERT INTO {schema}.store_schema (number, applied_at) VALUES ($1, $2)

-- name: columns
i.ns, i.key, i.value, i.created_at, i.updated_at, i.expires_at, i.ttl

-- name: contents
i.value, i.created_at, i.updated_at, i.expires_at, i.ttl

-- name: get
SELECT {contents} FROM {schema}.store_items AS i WHERE i.ns = $1 AND i.key = $2

-- name: get_some
-- $1: JSON, [[ns, …], [key, …]]. Returns the position there and the contents of each item found.
SELECT want.place, {contents}
FROM ROWS FROM (
    json_array_elements_text($1::json -> 0), json_array_elements_text($1::json -> 1)
) WITH ORDINALITY AS want (ns, key, place),
LATERAL (
    SELECT * FROM {schema}.store_items AS i WHERE i.ns = want.ns AND i.key = want.key OFFSET 0
) AS i

-- name: moved
UPDATE {schema}.store_items AS m SET expires_at = $3::double precision + m.ttl * 60
FROM unnest($1::text[], $2::text[]) AS want (ns, key)
WHERE m.ns = want.ns AND m.key = want.key AND m.ttl IS NOT NULL
    AND ($4::double precision IS NULL OR m.expires_at > $4::double precision)

-- name: put_items
INSERT INTO {schema}.store_items AS i
    (ns, key, value, created_at, updated_at, expires_at, ttl, keys)
SELECT
    p.ns, p.key, p.value, $2::double precision, $2::double precision, p.expires_at, p.ttl, p.keys
FROM {free} json_to_recordset($1::json) AS p (
    ns text, key text, value text, expires_at double precision, ttl double precision, keys jsonb
)
WHERE p.value IS NOT NULL
ON CONFLICT (ns, key) DO UPDATE SET
    value = excluded.value,
    created_at = CASE
        WHEN i.expires_at <= $3::double precision THEN excluded.created_at ELSE i.created_at
    END,
    updated_at = excluded.updated_at,
    expires_at = excluded.expires_at,
    ttl = excluded.ttl,
    keys = excluded.keys

-- name: delete_items
DELETE FROM {schema}.store_items AS i
USING {free} json_to_recordset($1::json) AS p (ns text, key text, value text)
WHERE i.ns = p.ns AND i.key = p.key AND p.value IS NULL

-- name: is_free
SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM {schema}.store_embeddings)

-- name: put_plain
-- Puts and deletes if the store has no embeddings, which puts and deletes might have to remove.
-- Otherwise it does nothing, and returns no row.
WITH free AS MATERIALIZED ({is_free}),
stored AS ({put_free}),
deleted AS ({delete_free})
SELECT 1 FROM free

-- name: put_only
-- The same without deletes, so that $1 is parsed only once.
WITH free AS MATERIALIZED ({is_free}),
stored AS ({put_free})
SELECT 1 FROM free

-- name: put_after_expiry
-- put_items, if some puts keep the vectors of unchanged texts: it removes those of expired items.
WITH gone AS (
    DELETE FROM {schema}.store_embeddings AS e
    USING json_to_recordset($1::json) AS n (ns text, key text, fields text[]),
        {schema}.store_items AS i
    WHERE n.fields IS NOT NULL AND i.ns = n.ns AND i.key = n.key
        AND i.expires_at <= $3::double precision AND e.ns = n.ns AND e.key = n.key
)
{put_items}

-- name: put_embeddings
-- $1 JSON of the embeddings, with their position in $2  $2 their data  $3 JSON of the batch's items
-- Rows are deleted and inserted, not updated: otherwise vector columns that this store does not use
-- would keep their old values. If a deleted item exists, another transaction has put it again, and
-- its embeddings are left alone. An item that is put without embeddings (it has `fields`) keeps the
-- embeddings of unchanged texts (`digests`). Returns its embeddings of fields that are not in
-- `fields`: the caller decides whether they stay.
WITH p AS MATERIALIZED (
    SELECT * FROM json_to_recordset($1::json) AS p
        (ns text, key text, digest text, field text, at integer, size integer, vector text)
),
n AS MATERIALIZED (
    SELECT * FROM json_to_recordset($3::json) AS n
        (ns text, key text, value text, fields text[], digests text[])
),
gone AS (
    DELETE FROM {schema}.store_embeddings AS e USING n
    WHERE e.ns = n.ns AND e.key = n.key
        AND (n.value IS NOT NULL OR NOT EXISTS (
            SELECT 1 FROM {schema}.store_items AS i WHERE i.ns = n.ns AND i.key = n.key
        ))
        AND (n.fields IS NULL OR (e.field = ANY (n.fields) AND e.digest <> ALL (n.digests)))
    RETURNING 1
),
all_gone AS MATERIALIZED (SELECT count(*) AS count FROM gone),
stored AS (
    INSERT INTO {schema}.store_embeddings (ns, key, digest, field, data{column})
    SELECT p.ns, p.key, p.digest, p.field, substring($2::bytea FROM p.at FOR p.size){value}
    FROM p WHERE (SELECT count FROM all_gone) IS NOT NULL
)
SELECT e.ns, e.key, e.field, e.digest FROM n
JOIN {schema}.store_embeddings AS e ON e.ns = n.ns AND e.key = n.key
WHERE n.fields IS NOT NULL AND e.field <> ALL (n.fields)

-- name: drop_embeddings
DELETE FROM {schema}.store_embeddings AS e
USING json_to_recordset($1::json) AS p (ns text, key text, digest text)
WHERE e.ns = p.ns AND e.key = p.key AND e.digest = p.digest

-- name: sweep
WITH gone AS (
    DELETE FROM {schema}.store_items WHERE expires_at <= $1::double precision RETURNING ns, key
),
embeddings AS (
    DELETE FROM {schema}.store_embeddings AS e USING gone
    WHERE e.ns = gone.ns AND e.key = gone.key
)
SELECT count(*) FROM gone

-- name: namespaces
-- Skips from one namespace to the next in the index. After one that has $3 labels or more, it skips
-- all that begin with the same $3 labels.
WITH RECURSIVE seek AS (
    (
        SELECT i.ns FROM {schema}.store_items AS i
        WHERE i.ns >= $1::text AND ($2::text IS NULL OR i.ns < $2::text) AND {shown}
        ORDER BY i.ns LIMIT 1
    )
    UNION ALL
    SELECT next.ns
    FROM seek,
        LATERAL (SELECT string_to_array(seek.ns, E'\x01') AS labels) AS cut,
        LATERAL (
            SELECT i.ns FROM {schema}.store_items AS i
            WHERE ($2::text IS NULL OR i.ns < $2::text) AND {shown}
                AND i.ns >= CASE WHEN cardinality(labels) - 1 >= $3::integer
                    THEN array_to_string(labels[:$3::integer], E'\x01') || E'\x02'
                    ELSE seek.ns || E'\x01'
                END
            ORDER BY i.ns LIMIT 1
        ) AS next
)
SELECT ns FROM seek LIMIT $4::bigint

-- name: shown
($5::double precision IS NULL OR i.expires_at IS NULL OR i.expires_at > $5::double precision)

-- name: server_version
SELECT 'Postgres ' || split_part(current_setting('server_version'), ' ', 1)

-- name: stats
SELECT
    (SELECT count(*) FROM {schema}.store_items),
    (SELECT count(*) FROM {schema}.store_embeddings),
    pg_total_relation_size('{schema}.store_items'::regclass)
        + pg_total_relation_size('{schema}.store_embeddings'::regclass)

-- name: extension
-- pgvector: its version and schema if it is installed, and whether this role may install it.
SELECT e.extversion, n.nspname, v.name IS NOT NULL
FROM (SELECT 1) AS one
LEFT JOIN (pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace)
    ON e.extname = 'vector'
LEFT JOIN (
    SELECT a.name FROM pg_available_extension_versions AS a
    WHERE a.name = 'vector' AND (
        (a.trusted AND has_database_privilege(current_database(), 'CREATE'))
        OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
    )
    LIMIT 1
) AS v ON true

-- name: create_extension
CREATE EXTENSION IF NOT EXISTS vector

-- name: has_column
SELECT 1 FROM pg_attribute
WHERE attrelid = '{schema}.store_embeddings'::regclass AND attname = $1::text AND NOT attisdropped

-- name: any_unconverted
SELECT 1 FROM {schema}.store_embeddings WHERE {missing} LIMIT 1

-- name: unconverted
SELECT ns, key, digest, data FROM {schema}.store_embeddings
WHERE {missing} LIMIT $1::bigint FOR UPDATE SKIP LOCKED

-- name: convert
UPDATE {schema}.store_embeddings AS e SET {column} = p.vector::{type}
FROM json_to_recordset($1::json) AS p (ns text, key text, digest text, vector text)
WHERE e.ns = p.ns AND e.key = p.key AND e.digest = p.digest

-- name: has_index
SELECT 1 WHERE to_regclass('{schema}.{index}') IS NOT NULL

-- name: field_indexes
SELECT c.relname::text FROM pg_index AS x JOIN pg_class AS c ON c.oid = x.indexrelid
WHERE x.indrelid = '{schema}.store_items'::regclass AND starts_with(c.relname::text, $1::text)

-- name: drop_index
DROP INDEX IF EXISTS {schema}.{index}

-- name: count_embeddings
SELECT count(*) FROM (
    SELECT 1 FROM {schema}.store_embeddings WHERE {column} IS NOT NULL LIMIT $1::bigint
) AS least

-- name: all_embeddings
SELECT count(*) FROM {schema}.store_embeddings WHERE {column} IS NOT NULL

-- name: give_memory
-- pgvector builds an HNSW index in memory. If it does not fit, that takes many times as long.
SELECT set_config('maintenance_work_mem', greatest(
    pg_size_bytes(current_setting('maintenance_work_mem')), $1::bigint
) / 1024 || 'kB', true)
