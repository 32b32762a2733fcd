-- Checkpoints with their values, writes and segments, in one statement. Sets of keys are joined as
-- arrays with LATERAL … OFFSET 0: so Postgres uses a table's key, whatever its statistics say.

-- In `versions`, a version that begins with `-` is of a channel without a value, and one with `=`
-- of a value embedded in the checkpoint's row (versions.versions_json): only others have a record.

-- name: columns
t.thread_id, t.epoch, t.log_end, t.expires_at, t.ttl_override, t.salt, c.ns, c.checkpoint_id,
c.parent_id, c.v, c.versions, c.body_type, c.body, c.metadata, c.sealed_type, c.sealed, c.small

-- name: tables
{schema}.saver_threads AS t JOIN {schema}.saver_checkpoints AS c ON c.thread_id = t.thread_id

-- name: newest
SELECT {columns} FROM {tables}
WHERE t.thread_id = $1::text AND (t.expires_at IS NULL OR t.expires_at > $2::double precision)
    AND c.ns = $3::text
ORDER BY c.checkpoint_id DESC LIMIT 1

-- name: one
SELECT {columns} FROM {tables}
WHERE t.thread_id = $1::text AND (t.expires_at IS NULL OR t.expires_at > $2::double precision)
    AND c.ns = $3::text AND c.checkpoint_id = $4::text

-- name: own
SELECT 0 AS kind, thread_id, ns, checkpoint_id AS a, parent_id AS b, versions AS c, metadata AS d,
    epoch AS n, log_end, v, expires_at, body_type AS type, body AS data, sealed_type,
    sealed AS more, salt, small, ttl_override
FROM c

-- name: bare
WITH c AS MATERIALIZED ({found})
{own}

-- name: single
WITH c AS MATERIALIZED ({found}),
v AS MATERIALIZED (
    SELECT v.* FROM c, json_each_text(c.versions::json) AS e, LATERAL (
        SELECT * FROM {schema}.saver_values AS v
        WHERE v.thread_id = c.thread_id AND v.ns = c.ns AND v.channel = e.key
            AND v.version = e.value
        OFFSET 0
    ) AS v
    WHERE e.value !~ '^[-=]'
),
{their_writes},
{logs}
{own}
UNION ALL
{rows}

-- name: whole
WITH c AS MATERIALIZED ({found}),
keys AS (
    SELECT array_agg(thread_id) AS threads, array_agg(ns) AS spaces, array_agg(key) AS channels,
        array_agg(value) AS versions
    FROM (
        SELECT DISTINCT c.thread_id, c.ns, e.key, e.value
        FROM c, json_each_text(c.versions::json) AS e
        WHERE e.value !~ '^[-=]'
    ) AS k
),
{values_of_keys},
{their_writes},
{logs}
{own}
UNION ALL
{rows}

-- name: values_of_keys
v AS MATERIALIZED (
    SELECT v.* FROM keys,
        unnest(keys.threads, keys.spaces, keys.channels, keys.versions) AS k (a, b, c, d),
        LATERAL (
            SELECT * FROM {schema}.saver_values AS v
            WHERE v.thread_id = k.a AND v.ns = k.b AND v.channel = k.c AND v.version = k.d
            OFFSET 0
        ) AS v
)

-- name: their_writes
-- The sends of a checkpoint before version 4 are among its parent's writes.
w AS MATERIALIZED (
    SELECT w.*
    FROM (
        SELECT thread_id, ns, checkpoint_id FROM c
        UNION SELECT thread_id, ns, parent_id FROM c WHERE v < 4 AND parent_id IS NOT NULL
    ) AS p (a, b, c),
    LATERAL (
        SELECT * FROM {schema}.saver_writes AS w
        WHERE w.thread_id = p.a AND w.ns = p.b AND w.checkpoint_id = p.c
        OFFSET 0
    ) AS w
)

-- name: logs
merged AS (
    SELECT thread_id, range_agg(r) AS ranges
    FROM (
        SELECT thread_id, ranges FROM v WHERE ranges IS NOT NULL
        UNION ALL SELECT thread_id, ranges FROM w WHERE ranges IS NOT NULL
    ) AS x, unnest(x.ranges) AS r
    GROUP BY thread_id
),
needed AS (
    SELECT array_agg(thread_id) AS threads, array_agg(lower(r)) AS firsts,
        array_agg(upper(r)) AS ends
    FROM merged, unnest(merged.ranges) AS r
)

-- name: rows
SELECT 1, thread_id, ns, channel, version, NULL, NULL, NULL, NULL, NULL, NULL, type, data, NULL,
    layout, NULL, NULL, NULL
FROM v
UNION ALL
SELECT 2, thread_id, ns, checkpoint_id, task_id, task_path, channel, idx, NULL, NULL, NULL, type,
    data, NULL, layout, NULL, NULL, NULL
FROM w
UNION ALL
SELECT 3, s.thread_id, NULL, NULL, NULL, NULL, NULL, s.start, NULL, NULL, NULL, NULL, s.data, NULL,
    s.digests, NULL, NULL, NULL
FROM needed, unnest(needed.threads, needed.firsts, needed.ends) AS r (a, b, c),
    LATERAL (
        SELECT * FROM {schema}.saver_segments AS s
        WHERE s.thread_id = r.a AND s.start >= r.b AND s.start < r.c
        OFFSET 0
    ) AS s

-- name: newest_threads
-- $1 threads that expire until this moment count as absent  $2 prefix of thread ids
-- $3, $4 bounds of the last update  $5, $6 the last update and id of the last thread of the previous
-- page  $7 how many. The conditions by the minute are the same ones, and have an index.
FROM {schema}.saver_threads
WHERE (expires_at IS NULL OR expires_at > $1::double precision)
    AND starts_with(thread_id, $2::text)
    AND ($3::double precision IS NULL OR updated_at < $3::double precision)
    AND ($4::double precision IS NULL OR updated_at > $4::double precision)
    AND ($5::double precision IS NULL OR (updated_at, thread_id) < ($5::double precision, $6::text))
    AND updated_minute <= floor(least($3::double precision, $5::double precision, 1e15) / 60)::bigint
    AND updated_minute >= floor(greatest($4::double precision, -1e15) / 60)::bigint
ORDER BY updated_minute DESC, updated_at DESC, thread_id DESC LIMIT $7::bigint

-- name: list_threads
SELECT thread_id, created_at, updated_at, expires_at {newest_threads}

-- name: list_heads
-- Threads, each with its newest root checkpoint, unless the metadata lacks one of the terms $8 or
-- the checkpoint has no write to the channel $9.
WITH t AS MATERIALIZED (
    SELECT thread_id, created_at, updated_at, expires_at, salt {newest_threads}
)
SELECT t.thread_id, t.created_at, t.updated_at, t.expires_at, t.thread_id, t.salt, w.channels,
    c.ns, c.checkpoint_id, c.parent_id, c.v, c.versions, c.body_type, c.body, c.metadata,
    c.sealed_type, c.sealed, c.small
FROM t
LEFT JOIN LATERAL (
    SELECT * FROM {schema}.saver_checkpoints AS c
    WHERE c.thread_id = t.thread_id AND c.ns = ''
    ORDER BY c.checkpoint_id DESC LIMIT 1
) AS c ON (
    c.sealed IS NOT NULL
    OR NOT EXISTS (SELECT 1 FROM unnest($8::text[]) AS s (term) WHERE strpos(c.metadata, s.term) = 0)
) AND ($9::text IS NULL OR EXISTS (
    SELECT 1 FROM {schema}.saver_writes AS w
    WHERE w.thread_id = c.thread_id AND w.ns = c.ns AND w.checkpoint_id = c.checkpoint_id
        AND w.channel = $9::text
    OFFSET 0 -- or else Postgres may read all writes to the channel
))
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_array(w.task_id, w.channel))::text AS channels
    FROM {schema}.saver_writes AS w
    WHERE w.thread_id = c.thread_id AND w.ns = c.ns AND w.checkpoint_id = c.checkpoint_id
) AS w ON true

-- name: some
WITH keys AS (
    SELECT $1::text[] AS threads, $2::text[] AS spaces, $3::text[] AS channels,
        $4::text[] AS versions
),
{values_of_keys},
w AS MATERIALIZED (
    SELECT w.* FROM unnest($5::text[], $6::text[], $7::text[]) AS p (a, b, c), LATERAL (
        SELECT * FROM {schema}.saver_writes AS w
        WHERE w.thread_id = p.a AND w.ns = p.b AND w.checkpoint_id = p.c
            AND ($8::text IS NULL OR w.channel = $8::text)
        OFFSET 0
    ) AS w
),
{logs}
SELECT * FROM (
    SELECT NULL::integer AS kind, NULL::text AS thread_id, NULL::text AS ns, NULL::text AS a,
        NULL::text AS b, NULL::text AS c, NULL::text AS d, NULL::bigint AS n,
        NULL::bigint AS log_end, NULL::integer AS v, NULL::double precision AS expires_at,
        NULL::text AS type, NULL::bytea AS data, NULL::text AS sealed_type, NULL::bytea AS more,
        NULL::bytea AS salt, NULL::bytea AS small, NULL::double precision AS ttl_override
    WHERE false
    UNION ALL
    {rows}
) AS found
