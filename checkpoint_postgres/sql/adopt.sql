-- The statements of `adopt`. LangGraph's own tables are in {source}, and are only read.

-- name: source_version
SELECT max(v) FROM {source}.checkpoint_migrations

-- name: has_source
SELECT 1 WHERE to_regclass('{source}.checkpoint_migrations') IS NOT NULL

-- name: count_threads
-- Skips from one thread to the next in the index, however many checkpoints each of them has.
WITH RECURSIVE t AS (
    (SELECT thread_id FROM {source}.checkpoints ORDER BY thread_id LIMIT 1)
    UNION ALL
    SELECT next.thread_id FROM t, LATERAL (
        SELECT c.thread_id FROM {source}.checkpoints AS c
        WHERE c.thread_id > t.thread_id ORDER BY c.thread_id LIMIT 1
    ) AS next
)
SELECT count(*) FROM t

-- name: next_threads
WITH RECURSIVE t AS (
    (
        SELECT thread_id, 1 AS n FROM {source}.checkpoints
        WHERE $1::text IS NULL OR thread_id > $1::text
        ORDER BY thread_id LIMIT 1
    )
    UNION ALL
    SELECT next.thread_id, t.n + 1 FROM t, LATERAL (
        SELECT c.thread_id FROM {source}.checkpoints AS c
        WHERE c.thread_id > t.thread_id ORDER BY c.thread_id LIMIT 1
    ) AS next
    WHERE t.n < $2::bigint
)
SELECT thread_id FROM t ORDER BY n

-- name: state
-- A fingerprint of the thread, which any change of its rows changes.
SELECT concat_ws(' ',
    (SELECT concat(count(*), ':', sum(hashtext(concat(xmin, ctid))::bigint))
        FROM {source}.checkpoints WHERE thread_id = $1),
    (SELECT concat(count(*), ':', sum(hashtext(concat(xmin, ctid))::bigint))
        FROM {source}.checkpoint_blobs WHERE thread_id = $1),
    (SELECT concat(count(*), ':', sum(hashtext(concat(xmin, ctid))::bigint))
        FROM {source}.checkpoint_writes WHERE thread_id = $1))

-- name: next_places
-- The keys of the next checkpoints, or of writes without a checkpoint; with each, the bytes of its
-- rows, and JSON of its values: [channel, version, bytes].
WITH p AS (
    SELECT checkpoint_ns AS ns, checkpoint_id AS id FROM (
        (
            SELECT checkpoint_ns, checkpoint_id FROM {source}.checkpoints
            WHERE thread_id = $1 AND (checkpoint_ns, checkpoint_id) > ($2::text, $3::text)
            ORDER BY checkpoint_ns, checkpoint_id LIMIT $4::bigint
        )
        UNION
        (
            SELECT DISTINCT checkpoint_ns, checkpoint_id FROM {source}.checkpoint_writes
            WHERE thread_id = $1 AND (checkpoint_ns, checkpoint_id) > ($2::text, $3::text)
            ORDER BY checkpoint_ns, checkpoint_id LIMIT $4::bigint
        )
    ) AS either
    ORDER BY checkpoint_ns, checkpoint_id LIMIT $4::bigint
)
SELECT p.ns, p.id,
    coalesce(
        (SELECT pg_column_size(c.checkpoint) + pg_column_size(c.metadata)
            FROM {source}.checkpoints AS c
            WHERE c.thread_id = $1 AND c.checkpoint_ns = p.ns AND c.checkpoint_id = p.id), 0
    ) + coalesce(
        (SELECT sum(octet_length(w.blob)) FROM {source}.checkpoint_writes AS w
            WHERE w.thread_id = $1 AND w.checkpoint_ns = p.ns AND w.checkpoint_id = p.id), 0
    )::bigint,
    (
        SELECT json_agg(json_build_array(b.channel, b.version, octet_length(b.blob)))::text
        FROM {source}.checkpoints AS c, jsonb_each_text(c.checkpoint -> 'channel_versions') AS e,
            LATERAL (
                SELECT * FROM {source}.checkpoint_blobs AS b
                WHERE b.thread_id = $1 AND b.checkpoint_ns = p.ns AND b.channel = e.key
                    AND b.version = e.value
                OFFSET 0
            ) AS b
        WHERE c.thread_id = $1 AND c.checkpoint_ns = p.ns AND c.checkpoint_id = p.id
            AND b.type <> 'empty'
    )
FROM p ORDER BY p.ns, p.id

-- name: source_checkpoints
SELECT c.checkpoint_ns, c.checkpoint_id, c.parent_checkpoint_id, c.checkpoint::text,
    c.metadata::text
FROM unnest($2::text[], $3::text[]) AS p (ns, id), LATERAL (
    SELECT * FROM {source}.checkpoints AS c
    WHERE c.thread_id = $1 AND c.checkpoint_ns = p.ns AND c.checkpoint_id = p.id
    OFFSET 0
) AS c

-- name: source_blobs
SELECT b.checkpoint_ns, b.channel, b.version, b.type, b.blob
FROM unnest($2::text[], $3::text[], $4::text[]) AS k (ns, channel, version), LATERAL (
    SELECT * FROM {source}.checkpoint_blobs AS b
    WHERE b.thread_id = $1 AND b.checkpoint_ns = k.ns AND b.channel = k.channel
        AND b.version = k.version
    OFFSET 0
) AS b

-- name: source_writes
SELECT w.checkpoint_ns, w.checkpoint_id, w.task_id, w.task_path, w.idx, w.channel, w.type, w.blob
FROM unnest($2::text[], $3::text[]) AS p (ns, id), LATERAL (
    SELECT * FROM {source}.checkpoint_writes AS w
    WHERE w.thread_id = $1 AND w.checkpoint_ns = p.ns AND w.checkpoint_id = p.id
    OFFSET 0
) AS w

-- name: has_adopted
SELECT 1 WHERE to_regclass('{schema}.saver_adopted') IS NOT NULL

-- name: create_adopted
-- Threads that were copied. `state` is the fingerprint of the original, `ns` and `checkpoint_id` the
-- last checkpoint that is copied, or NULL if all are.
CREATE TABLE IF NOT EXISTS {schema}.saver_adopted (
    thread_id text COLLATE "C" PRIMARY KEY,
    state text NOT NULL,
    ns text,
    checkpoint_id text
)

-- name: adopted
SELECT state, ns, checkpoint_id FROM {schema}.saver_adopted WHERE thread_id = $1

-- name: note_adopted
INSERT INTO {schema}.saver_adopted (thread_id, state, ns, checkpoint_id) VALUES ($1, $2, $3, $4)
ON CONFLICT (thread_id) DO UPDATE SET
    state = excluded.state, ns = excluded.ns, checkpoint_id = excluded.checkpoint_id

-- name: own
-- A checkpoint or write of this saver that the original lacks. The collation is that of the
-- original's columns, since their indexes serve no other.
(
    SELECT 'checkpoint ' || o.checkpoint_id FROM {schema}.saver_checkpoints AS o
    WHERE o.thread_id = $1 AND NOT EXISTS (
        SELECT 1 FROM {source}.checkpoints AS c
        WHERE c.thread_id = $1 AND c.checkpoint_ns = o.ns COLLATE "default"
            AND c.checkpoint_id = o.checkpoint_id COLLATE "default"
    )
    LIMIT 1
)
UNION ALL
(
    SELECT 'a write for checkpoint ' || o.checkpoint_id FROM {schema}.saver_writes AS o
    WHERE o.thread_id = $1 AND NOT EXISTS (
        SELECT 1 FROM {source}.checkpoint_writes AS w
        WHERE w.thread_id = $1 AND w.checkpoint_ns = o.ns COLLATE "default"
            AND w.checkpoint_id = o.checkpoint_id COLLATE "default"
            AND w.task_id = o.task_id COLLATE "default" AND w.idx = o.idx
    )
    LIMIT 1
)

-- name: present_values
SELECT k.ns, k.channel, k.version
FROM unnest($2::text[], $3::text[], $4::text[]) AS k (ns, channel, version)
WHERE EXISTS (
    SELECT 1 FROM {schema}.saver_values AS v
    WHERE v.thread_id = $1 AND v.ns = k.ns AND v.channel = k.channel AND v.version = k.version
)

-- name: present_writes
SELECT w.ns, w.checkpoint_id, w.task_id, w.idx
FROM unnest($2::text[], $3::text[]) AS p (ns, id), LATERAL (
    SELECT * FROM {schema}.saver_writes AS w
    WHERE w.thread_id = $1 AND w.ns = p.ns AND w.checkpoint_id = p.id
    OFFSET 0
) AS w

-- name: stored_checkpoints
SELECT c.ns, c.checkpoint_id, c.parent_id, c.v, c.versions, c.body_type, c.body, c.metadata,
    c.sealed_type, c.sealed, c.small
FROM unnest($2::text[], $3::text[]) AS p (ns, id), LATERAL (
    SELECT * FROM {schema}.saver_checkpoints AS c
    WHERE c.thread_id = $1 AND c.ns = p.ns AND c.checkpoint_id = p.id
    OFFSET 0
) AS c
