-- name: has_migrations
SELECT 1 WHERE to_regclass('{schema}.saver_migrations') IS NOT NULL

-- name: lock_setup
SELECT pg_advisory_xact_lock(hashtext('langgraph-checkpoint-suite'), hashtext('{schema}'))

-- name: has_schema
SELECT 1 WHERE to_regnamespace('{schema}') IS NOT NULL

-- name: create_schema
CREATE SCHEMA {schema}

-- name: create_migrations
CREATE TABLE IF NOT EXISTS {schema}.saver_migrations
    (number integer PRIMARY KEY, applied_at double precision NOT NULL)

-- name: applied_migrations
SELECT number FROM {schema}.saver_migrations

-- name: note_migration
INSERT INTO {schema}.saver_migrations (number, applied_at) VALUES ($1, $2)

-- name: thread
SELECT thread_id, epoch, log_end, expires_at, ttl_override, salt FROM {schema}.saver_threads
WHERE thread_id = $1 FOR UPDATE

-- name: seen_thread
SELECT thread_id, epoch, log_end, expires_at, ttl_override, salt FROM {schema}.saver_threads
WHERE thread_id = $1

-- name: insert_thread
INSERT INTO {schema}.saver_threads
    (thread_id, created_at, updated_at, expires_at, ttl_override, epoch, log_end, salt)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING thread_id

-- name: touch_thread
UPDATE {schema}.saver_threads
SET updated_at = $1, expires_at = $2, ttl_override = $3, log_end = $4, garbage = garbage + $5
WHERE thread_id = $6

-- name: refresh_thread
UPDATE {schema}.saver_threads SET expires_at = $1 WHERE thread_id = $2

-- name: read_thread
-- If neither the thread nor the reader has a TTL, the expiry stays.
UPDATE {schema}.saver_threads
SET expires_at = $2::double precision + coalesce(ttl_override, $3::double precision) * 60
WHERE thread_id = $1 AND coalesce(ttl_override, $3::double precision) IS NOT NULL
    AND (expires_at IS NULL OR expires_at > $4::double precision)
RETURNING 1

-- name: new_epoch
UPDATE {schema}.saver_threads SET epoch = $1, garbage = 0 WHERE thread_id = $2

-- name: clear_garbage
UPDATE {schema}.saver_threads SET garbage = 0 WHERE thread_id = $1 AND garbage > 0

-- name: add_garbage
UPDATE {schema}.saver_threads SET garbage = garbage + $1 WHERE thread_id = $2

-- name: thread_state
SELECT updated_at, xmin::text FROM {schema}.saver_threads WHERE thread_id = $1

-- name: garbage_threads
SELECT thread_id FROM {schema}.saver_threads
WHERE garbage > 0 AND garbage >= $1 ORDER BY garbage DESC LIMIT $2

-- name: insert_checkpoint
INSERT INTO {schema}.saver_checkpoints
    (parent_id, run_id, v, versions, link_checksum, body_type, body, metadata, sealed_type,
     sealed, small, thread_id, ns, checkpoint_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT DO NOTHING

-- name: checkpoint_versions
SELECT versions FROM {schema}.saver_checkpoints
WHERE thread_id = $1 AND ns = $2 AND checkpoint_id = $3

-- name: replace_checkpoint
UPDATE {schema}.saver_checkpoints
SET parent_id = $1, run_id = $2, v = $3, versions = $4, link_checksum = $5, body_type = $6,
    body = $7, metadata = $8, sealed_type = $9, sealed = $10, small = $11
WHERE thread_id = $12 AND ns = $13 AND checkpoint_id = $14

-- name: insert_value
INSERT INTO {schema}.saver_values
    (type, data, layout, ranges, thread_id, ns, channel, version)
VALUES ($1, $2, $3, $4::text::int8multirange, $5, $6, $7, $8)
ON CONFLICT DO NOTHING

-- name: replace_value
UPDATE {schema}.saver_values
SET type = $1, data = $2, layout = $3, ranges = $4::text::int8multirange
WHERE thread_id = $5 AND ns = $6 AND channel = $7 AND version = $8

-- name: insert_segment
INSERT INTO {schema}.saver_segments (thread_id, start, digests, data) VALUES ($1, $2, $3, $4)

-- name: newest_digests
SELECT start, digests FROM {schema}.saver_segments
WHERE thread_id = $1 ORDER BY start DESC LIMIT $2

-- name: insert_write
INSERT INTO {schema}.saver_writes
    (thread_id, ns, checkpoint_id, task_id, idx, task_path, channel, type, data, layout, ranges)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text::int8multirange)
ON CONFLICT DO NOTHING

-- name: upsert_write
INSERT INTO {schema}.saver_writes
    (thread_id, ns, checkpoint_id, task_id, idx, task_path, channel, type, data, layout, ranges)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text::int8multirange)
ON CONFLICT (thread_id, ns, checkpoint_id, task_id, idx) DO UPDATE SET
    task_path = excluded.task_path, channel = excluded.channel, type = excluded.type,
    data = excluded.data, layout = excluded.layout, ranges = excluded.ranges

-- name: task_layouts
SELECT idx, layout FROM {schema}.saver_writes
WHERE thread_id = $1 AND ns = $2 AND checkpoint_id = $3 AND task_id = $4

-- name: parents
WITH RECURSIVE chain (depth, checkpoint_id, parent_id, versions, link_checksum) AS (
    SELECT 0, checkpoint_id, parent_id, versions, link_checksum FROM {schema}.saver_checkpoints
    WHERE thread_id = $1 AND ns = $2 AND checkpoint_id = $3
    UNION ALL
    SELECT chain.depth + 1, c.checkpoint_id, c.parent_id, c.versions, c.link_checksum
    FROM chain, LATERAL (
        SELECT * FROM {schema}.saver_checkpoints AS c
        WHERE c.thread_id = $1 AND c.ns = $2 AND c.checkpoint_id = chain.parent_id
        OFFSET 0
    ) AS c
    WHERE chain.depth < $4
)
SELECT checkpoint_id, parent_id, versions, link_checksum FROM chain

-- name: values_there
SELECT v.channel, v.version
FROM unnest($3::text[], $4::text[]) AS k (channel, version)
CROSS JOIN LATERAL (
    SELECT channel, version FROM {schema}.saver_values
    WHERE thread_id = $1 AND ns = $2 AND channel = k.channel AND version = k.version
    OFFSET 0
) AS v

-- name: value_sizes
SELECT v.channel, v.version, v.size, v.layout
FROM unnest($3::text[], $4::text[]) AS k (channel, version)
CROSS JOIN LATERAL (
    SELECT channel, version, length(data) AS size, layout FROM {schema}.saver_values
    WHERE thread_id = $1 AND ns = $2 AND channel = k.channel AND version = k.version
    OFFSET 0
) AS v

-- name: thread_versions
SELECT ns, versions FROM {schema}.saver_checkpoints WHERE thread_id = $1

-- name: thread_values
SELECT ARRAY[ns, channel, version], ns, channel, version, layout
FROM {schema}.saver_values WHERE thread_id = $1

-- name: write_layouts
SELECT layout FROM {schema}.saver_writes WHERE thread_id = $1 AND layout IS NOT NULL

-- name: segment_sizes
SELECT start, length(data) FROM {schema}.saver_segments WHERE thread_id = $1 ORDER BY start

-- name: delete_values
DELETE FROM {schema}.saver_values AS v
USING unnest($2::text[], $3::text[], $4::text[]) AS k (ns, channel, version)
WHERE v.thread_id = $1 AND v.ns = k.ns AND v.channel = k.channel AND v.version = k.version

-- name: delete_segments
DELETE FROM {schema}.saver_segments WHERE thread_id = $1 AND start = ANY ($2::bigint[])

-- name: delete_checkpoint
DELETE FROM {schema}.saver_checkpoints WHERE thread_id = $1 AND ns = $2 AND checkpoint_id = $3

-- name: delete_writes
DELETE FROM {schema}.saver_writes WHERE thread_id = $1 AND ns = $2 AND checkpoint_id = $3

-- name: delete_early_writes
DELETE FROM {schema}.saver_writes AS w
WHERE w.thread_id = $1 AND w.ns = $2 AND w.checkpoint_id < $3
    AND NOT EXISTS (
        SELECT 1 FROM {schema}.saver_checkpoints AS c
        WHERE c.thread_id = $1 AND c.ns = $2 AND c.checkpoint_id = w.checkpoint_id
    )

-- name: delete_thread
-- Deletes nothing if another writer has changed the thread since this statement's snapshot, since
-- the statement does not see the rows of that writer. The reply is then 1, otherwise 0.
WITH seen AS (
    SELECT thread_id, xmin AS state FROM {schema}.saver_threads WHERE thread_id = $1
),
t AS (
    DELETE FROM {schema}.saver_threads AS t USING seen
    WHERE t.thread_id = $1 AND t.xmin = seen.state
    RETURNING t.thread_id
),
c AS (
    DELETE FROM {schema}.saver_checkpoints
    WHERE thread_id = $1 AND EXISTS (SELECT 1 FROM t)
),
v AS (DELETE FROM {schema}.saver_values WHERE thread_id = $1 AND EXISTS (SELECT 1 FROM t)),
w AS (DELETE FROM {schema}.saver_writes WHERE thread_id = $1 AND EXISTS (SELECT 1 FROM t)),
s AS (DELETE FROM {schema}.saver_segments WHERE thread_id = $1 AND EXISTS (SELECT 1 FROM t))
SELECT (SELECT count(*) FROM seen) - (SELECT count(*) FROM t)

-- name: purge_checkpoints
DELETE FROM {schema}.saver_checkpoints WHERE thread_id = $1

-- name: purge_values
DELETE FROM {schema}.saver_values WHERE thread_id = $1

-- name: purge_writes
DELETE FROM {schema}.saver_writes WHERE thread_id = $1

-- name: purge_segments
DELETE FROM {schema}.saver_segments WHERE thread_id = $1

-- name: purge_thread
DELETE FROM {schema}.saver_threads WHERE thread_id = $1

-- name: is_empty
SELECT NOT EXISTS (SELECT 1 FROM {schema}.saver_checkpoints WHERE thread_id = $1)
    AND NOT EXISTS (SELECT 1 FROM {schema}.saver_writes WHERE thread_id = $1)

-- name: checkpoints_of_run
SELECT thread_id, ns, checkpoint_id FROM {schema}.saver_checkpoints WHERE run_id = $1

-- name: lock_threads
SELECT thread_id FROM {schema}.saver_threads WHERE thread_id = ANY ($1::text[])
ORDER BY thread_id FOR UPDATE

-- name: checkpoint
SELECT ns, checkpoint_id, parent_id, v, versions, body_type, body, metadata, sealed_type, sealed,
    small
FROM {schema}.saver_checkpoints
WHERE thread_id = $1 AND ns = $2 AND checkpoint_id = $3

-- name: parent
SELECT t.salt, c.ns, c.checkpoint_id, c.parent_id, c.v, c.versions, c.body_type, c.body,
    c.metadata, c.sealed_type, c.sealed, c.small
FROM {schema}.saver_threads AS t LEFT JOIN {schema}.saver_checkpoints AS c
    ON c.thread_id = t.thread_id AND c.ns = $3::text AND c.checkpoint_id = $4::text
WHERE t.thread_id = $1::text AND (t.expires_at IS NULL OR t.expires_at > $2::double precision)

-- name: has_write
SELECT 1 FROM {schema}.saver_writes
WHERE thread_id = $1 AND ns = $2 AND checkpoint_id = $3 AND channel = $4 LIMIT 1

-- name: checkpoint_keys
SELECT ns, checkpoint_id FROM {schema}.saver_checkpoints WHERE thread_id = $1

-- name: foreign_checkpoint
SELECT ns, checkpoint_id FROM {schema}.saver_checkpoints AS t WHERE t.thread_id = $1
    AND NOT EXISTS (
        SELECT 1 FROM {schema}.saver_checkpoints AS s
        WHERE s.thread_id = $2 AND s.ns = t.ns AND s.checkpoint_id = t.checkpoint_id
    )
UNION ALL
SELECT ns, checkpoint_id FROM {schema}.saver_writes AS t WHERE t.thread_id = $1
    AND NOT EXISTS (
        SELECT 1 FROM {schema}.saver_writes AS s
        WHERE s.thread_id = $2 AND s.ns = t.ns AND s.checkpoint_id = t.checkpoint_id
    )
LIMIT 1

-- name: copy_checkpoints
INSERT INTO {schema}.saver_checkpoints
    (thread_id, ns, checkpoint_id, parent_id, run_id, v, versions, link_checksum, body_type, body,
     metadata, sealed_type, sealed, small)
SELECT $2::text, ns, checkpoint_id, parent_id, run_id, v, versions, link_checksum, body_type, body,
    metadata, sealed_type, sealed, small
FROM {schema}.saver_checkpoints WHERE thread_id = $1

-- name: copy_values
INSERT INTO {schema}.saver_values (thread_id, ns, channel, version, type, data, layout, ranges)
SELECT $2::text, ns, channel, version, type, data, layout, ranges
FROM {schema}.saver_values WHERE thread_id = $1

-- name: copy_writes
INSERT INTO {schema}.saver_writes
    (thread_id, ns, checkpoint_id, task_id, idx, task_path, channel, type, data, layout, ranges)
SELECT $2::text, ns, checkpoint_id, task_id, idx, task_path, channel, type, data, layout, ranges
FROM {schema}.saver_writes WHERE thread_id = $1

-- name: copy_segments
INSERT INTO {schema}.saver_segments (thread_id, start, digests, data)
SELECT $2::text, start, digests, data FROM {schema}.saver_segments WHERE thread_id = $1

-- name: copy_garbage
UPDATE {schema}.saver_threads AS t SET garbage = s.garbage
FROM {schema}.saver_threads AS s WHERE s.thread_id = $1 AND t.thread_id = $2

-- name: expired_threads
SELECT thread_id FROM {schema}.saver_threads WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2

-- name: lease
INSERT INTO {schema}.saver_leases AS l (name, owner, expires_at)
VALUES ('retention', $1::text, clock_timestamp() + make_interval(secs => $2::double precision))
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at
WHERE l.owner = excluded.owner OR l.expires_at <= clock_timestamp()
RETURNING 1

-- name: server_version
SELECT 'Postgres ' || split_part(current_setting('server_version'), ' ', 1)

-- name: thread_stats
SELECT 1,
    (SELECT count(*) FROM {schema}.saver_checkpoints WHERE thread_id = $1),
    (SELECT count(*) FROM {schema}.saver_values WHERE thread_id = $1),
    (SELECT count(*) FROM {schema}.saver_segments WHERE thread_id = $1),
    (SELECT count(*) FROM {schema}.saver_writes WHERE thread_id = $1),
    (
        (SELECT coalesce(sum(length(body) + octet_length(versions) + octet_length(metadata)
            + coalesce(length(sealed), 0) + coalesce(length(small), 0)), 0)
            FROM {schema}.saver_checkpoints WHERE thread_id = $1)
        + (SELECT coalesce(sum(length(data) + coalesce(length(layout), 0)), 0)
            FROM {schema}.saver_values WHERE thread_id = $1)
        + (SELECT coalesce(sum(length(data) + length(digests)), 0)
            FROM {schema}.saver_segments WHERE thread_id = $1)
        + (SELECT coalesce(sum(length(data) + coalesce(length(layout), 0)), 0)
            FROM {schema}.saver_writes WHERE thread_id = $1)
    )::bigint

-- name: all_stats
SELECT
    (SELECT count(*) FROM {schema}.saver_threads),
    (SELECT count(*) FROM {schema}.saver_checkpoints),
    (SELECT count(*) FROM {schema}.saver_values),
    (SELECT count(*) FROM {schema}.saver_segments),
    (SELECT count(*) FROM {schema}.saver_writes),
    (
        SELECT sum(pg_total_relation_size(coalesce(part.relid, tables.name)))::bigint
        FROM unnest(ARRAY[
            '{schema}.saver_threads', '{schema}.saver_checkpoints', '{schema}.saver_values',
            '{schema}.saver_segments', '{schema}.saver_writes'
        ]::regclass[]) AS tables (name)
        LEFT JOIN LATERAL pg_partition_tree(tables.name) AS part ON part.isleaf
    )
