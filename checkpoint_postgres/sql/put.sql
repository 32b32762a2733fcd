-- A put or put_writes is one statement. `t` locks the thread's row, so that the writers of a thread
-- wait for each other, and checks the row after it has the lock. All other parts select from `t`:
-- if the log is not in the expected state, nothing is written.
--
-- A put that refers to stored values ("known") creates no thread, and does nothing if one of them
-- is missing. It checks this on its snapshot, before it has the lock. A writer that removes values
-- gives the thread a new epoch, so the epoch must still be that of the snapshot.
-- (With OFFSET 0, Postgres looks up each value in the index. For a join it might read all values.)
--
-- $1 thread_id  $2 now  $3 ttl of this run, minutes  $4 ttl of the saver, minutes
-- $5 threads that expire until this moment count as absent
-- $6 expected epoch  $7 expected end of the log  $8 its end afterwards  $9 whether to check both
-- $10 namespace  $11 checkpoint_id
-- $12 all binary data of the segments and values, concatenated
-- $13 JSON of the segments: start, position in $12, sizes of digests and data. (psycopg would
--     escape the elements of arrays one by one, and those of bytea as text.)
-- $14 salt of the checksums: a new thread gets it, an existing thread must have it

-- name: open
INSERT INTO {schema}.saver_threads AS t
    (thread_id, created_at, updated_at, expires_at, ttl_override, epoch, log_end, salt)
SELECT $1::text, $2::double precision, $2::double precision,
    $2::double precision + coalesce($3::double precision, $4::double precision) * 60,
    $3::double precision, $6::bigint, $8::bigint, $14::bytea
WHERE {allowed}
ON CONFLICT (thread_id) DO UPDATE SET
    updated_at = excluded.updated_at,
    expires_at = excluded.updated_at
        + coalesce(excluded.ttl_override, t.ttl_override, $4::double precision) * 60,
    ttl_override = coalesce(excluded.ttl_override, t.ttl_override){and_garbage}
WHERE t.salt = $14::bytea AND (t.expires_at IS NULL OR t.expires_at > $5::double precision)
    AND (NOT $9::boolean OR (t.epoch = $6::bigint AND t.log_end = $7::bigint))
RETURNING t.thread_id, t.epoch, t.log_end

-- name: reopen
UPDATE {schema}.saver_threads AS t SET
    updated_at = $2::double precision,
    expires_at = $2::double precision
        + coalesce($3::double precision, t.ttl_override, $4::double precision) * 60,
    ttl_override = coalesce($3::double precision, t.ttl_override),
    log_end = CASE WHEN $9::boolean THEN $8::bigint ELSE t.log_end END{and_garbage}
WHERE t.thread_id = $1::text AND t.salt = $14::bytea
    AND (t.expires_at IS NULL OR t.expires_at > $5::double precision)
    AND (NOT $9::boolean OR (t.epoch = $6::bigint AND t.log_end = $7::bigint))
    AND {allowed}
RETURNING t.thread_id, t.epoch, t.log_end

-- name: no_garbage

-- name: garbage_of_writes
,
    -- About how many bytes of the log the replaced writes refer to and the new ones do not.
    garbage = t.garbage + (
        SELECT coalesce(sum(upper(r) - lower(r)), 0)
        FROM json_to_recordset($18::json) AS n (idx integer, ranges text)
        JOIN {schema}.saver_writes AS w ON w.thread_id = $1::text AND w.ns = $10::text
            AND w.checkpoint_id = $11::text AND w.task_id = $15::text AND w.idx = n.idx
        CROSS JOIN unnest(w.ranges - coalesce(n.ranges, '{}')::int8multirange) AS r
        WHERE n.idx < 0
    )

-- name: append
INSERT INTO {schema}.saver_segments (thread_id, start, digests, data)
SELECT t.thread_id, s.start, substring($12::bytea FROM s.at FOR s.digests),
    substring($12::bytea FROM s.at + s.digests FOR s.size)
FROM t, json_to_recordset($13::json)
    AS s (start bigint, at integer, digests integer, size integer)

-- name: put_allowed
NOT EXISTS (
    SELECT 1 FROM {schema}.saver_checkpoints AS c
    WHERE c.thread_id = $1::text AND c.ns = $10::text AND c.checkpoint_id = $11::text
)

-- name: put_known_allowed
{put_allowed}
AND NOT EXISTS (
    SELECT 1 FROM json_to_recordset($27::json) AS k (channel text, version text)
    WHERE NOT EXISTS (
        SELECT 1 FROM {schema}.saver_values AS v
        WHERE v.thread_id = $1::text AND v.ns = $10::text
            AND v.channel = k.channel AND v.version = k.version
        OFFSET 0
    )
)
AND t.epoch = (SELECT s.epoch FROM {schema}.saver_threads AS s WHERE s.thread_id = $1::text)

-- name: put
WITH t AS ({open}),
s AS ({append}),
c AS (
    INSERT INTO {schema}.saver_checkpoints
        (thread_id, ns, checkpoint_id, parent_id, run_id, v, versions, link_checksum, body_type,
         body, metadata, sealed_type, sealed, small)
    SELECT t.thread_id, $10::text, $11::text, $15::text, $16::text, $17::integer, $18::text,
        $19::bytea, $20::text, $21::bytea, $22::text, $23::text, $24::bytea, $25::bytea
    FROM t
),
v AS (
    INSERT INTO {schema}.saver_values
        (thread_id, ns, channel, version, type, data, layout, ranges)
    SELECT t.thread_id, $10::text, v.channel, v.version, v.type,
        substring($12::bytea FROM v.at FOR v.size),
        substring($12::bytea FROM v.at + v.size FOR v.layout), v.ranges::int8multirange
    FROM t, json_to_recordset($26::json) AS v (
        channel text, version text, type text, at integer, size integer, layout integer, ranges text
    )
)
SELECT epoch, log_end FROM t

-- name: put_writes_allowed
NOT EXISTS (
    SELECT 1 FROM {schema}.saver_writes AS w
    WHERE w.thread_id = $1::text AND w.ns = $10::text AND w.checkpoint_id = $11::text
        AND w.task_id = $15::text AND w.idx = ANY ($17::integer[])
        AND w.idx >= 0 AND json_array_length($13::json) > 0
)

-- name: put_writes
WITH t AS ({open}),
s AS ({append}),
w AS (
    INSERT INTO {schema}.saver_writes AS old
        (thread_id, ns, checkpoint_id, task_id, task_path, idx, channel, type, data, layout, ranges)
    SELECT t.thread_id, $10::text, $11::text, $15::text, $16::text, w.idx, w.channel, w.type,
        substring($12::bytea FROM w.at FOR w.size),
        substring($12::bytea FROM w.at + w.size FOR w.layout), w.ranges::int8multirange
    FROM t, json_to_recordset($18::json) AS w (
        idx integer, channel text, type text, at integer, size integer, layout integer, ranges text
    )
    ON CONFLICT (thread_id, ns, checkpoint_id, task_id, idx) DO UPDATE SET
        task_path = excluded.task_path, channel = excluded.channel, type = excluded.type,
        data = excluded.data, layout = excluded.layout, ranges = excluded.ranges
    WHERE old.idx < 0
    RETURNING 1
)
SELECT epoch, log_end, (SELECT count(*) FROM w) FROM t
