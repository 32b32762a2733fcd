-- name: has_migrations
SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'saver_migrations'

-- name: create_migrations
CREATE TABLE IF NOT EXISTS saver_migrations (number INTEGER PRIMARY KEY, applied_at REAL NOT NULL)

-- name: applied_migrations
SELECT number FROM saver_migrations

-- name: note_migration
INSERT INTO saver_migrations (number, applied_at) VALUES (?, ?)

-- name: thread
SELECT no, epoch, log_end, expires_at, ttl_override, salt FROM saver_threads WHERE thread_id = ?

-- name: seen_thread
SELECT no, epoch, log_end, expires_at, ttl_override, salt FROM saver_threads WHERE thread_id = ?

-- name: insert_thread
INSERT INTO saver_threads
    (thread_id, created_at, updated_at, expires_at, ttl_override, epoch, log_end, salt)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
RETURNING no

-- name: touch_thread
UPDATE saver_threads
SET updated_at = ?, expires_at = ?, ttl_override = ?, log_end = ?, garbage = garbage + ?
WHERE no = ?

-- name: refresh_thread
UPDATE saver_threads SET expires_at = ? WHERE no = ?

-- name: new_epoch
UPDATE saver_threads SET epoch = ?, garbage = 0 WHERE no = ?

-- name: clear_garbage
UPDATE saver_threads SET garbage = 0 WHERE no = ? AND garbage > 0

-- name: add_garbage
UPDATE saver_threads SET garbage = garbage + ? WHERE no = ?

-- name: thread_state
SELECT updated_at, garbage, (SELECT count(*) FROM saver_checkpoints WHERE thread = saver_threads.no)
FROM saver_threads WHERE no = ?

-- name: garbage_threads
SELECT thread_id FROM saver_threads WHERE garbage > 0 AND garbage >= ? ORDER BY garbage DESC LIMIT ?

-- name: insert_checkpoint
INSERT INTO saver_checkpoints
    (parent_id, run_id, v, versions, link_checksum, body_type, body, metadata, sealed_type,
     sealed, small, thread, ns, checkpoint_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING

-- name: checkpoint_versions
SELECT versions FROM saver_checkpoints WHERE thread = ? AND ns = ? AND checkpoint_id = ?

-- name: replace_checkpoint
UPDATE saver_checkpoints
SET parent_id = ?, run_id = ?, v = ?, versions = ?, link_checksum = ?, body_type = ?, body = ?,
    metadata = ?, sealed_type = ?, sealed = ?, small = ?
WHERE thread = ? AND ns = ? AND checkpoint_id = ?

-- name: insert_value
INSERT INTO saver_values (type, data, layout, thread, ns, channel, version)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING

-- name: replace_value
UPDATE saver_values SET type = ?, data = ?, layout = ?
WHERE thread = ? AND ns = ? AND channel = ? AND version = ?

-- name: insert_segment
INSERT INTO saver_segments (id, digests, data) VALUES (?, ?, ?)

-- name: newest_digests
SELECT id, digests FROM saver_segments WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT ?

-- name: insert_write
INSERT INTO saver_writes
    (thread, ns, checkpoint_id, task_id, idx, task_path, channel, type, data, layout)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING

-- name: upsert_write
INSERT INTO saver_writes
    (thread, ns, checkpoint_id, task_id, idx, task_path, channel, type, data, layout)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (thread, ns, checkpoint_id, task_id, idx) DO UPDATE SET
    task_path = excluded.task_path, channel = excluded.channel,
    type = excluded.type, data = excluded.data, layout = excluded.layout

-- name: task_layouts
SELECT idx, layout FROM saver_writes
WHERE thread = ? AND ns = ? AND checkpoint_id = ? AND task_id = ?

-- name: parents
WITH RECURSIVE chain (depth, checkpoint_id, parent_id, versions, link_checksum) AS (
    SELECT 0, checkpoint_id, parent_id, versions, link_checksum FROM saver_checkpoints
    WHERE thread = ?1 AND ns = ?2 AND checkpoint_id = ?3
    UNION ALL
    SELECT chain.depth + 1, c.checkpoint_id, c.parent_id, c.versions, c.link_checksum
    FROM chain CROSS JOIN saver_checkpoints AS c
        ON c.thread = ?1 AND c.ns = ?2 AND c.checkpoint_id = chain.parent_id
    WHERE chain.depth < ?4
)
SELECT checkpoint_id, parent_id, versions, link_checksum FROM chain

-- name: thread_versions
SELECT ns, versions FROM saver_checkpoints WHERE thread = ?

-- name: thread_values
SELECT id, ns, channel, version, layout FROM saver_values WHERE thread = ?

-- name: write_layouts
SELECT layout FROM saver_writes WHERE thread = ? AND layout IS NOT NULL

-- name: segment_sizes
SELECT id, length(data) FROM saver_segments WHERE id >= ? AND id < ?

-- name: delete_value
DELETE FROM saver_values WHERE id = ?

-- name: delete_segment
DELETE FROM saver_segments WHERE id = ?

-- name: delete_checkpoint
DELETE FROM saver_checkpoints WHERE thread = ? AND ns = ? AND checkpoint_id = ?

-- name: delete_writes
DELETE FROM saver_writes WHERE thread = ? AND ns = ? AND checkpoint_id = ?

-- name: delete_early_writes
DELETE FROM saver_writes
WHERE thread = ?1 AND ns = ?2 AND checkpoint_id < ?3
    AND NOT EXISTS (
        SELECT 1 FROM saver_checkpoints AS c
        WHERE c.thread = ?1 AND c.ns = ?2 AND c.checkpoint_id = saver_writes.checkpoint_id
    )

-- name: purge_checkpoints
DELETE FROM saver_checkpoints WHERE thread = ?

-- name: purge_values
DELETE FROM saver_values WHERE thread = ?

-- name: purge_writes
DELETE FROM saver_writes WHERE thread = ?

-- name: purge_segments
DELETE FROM saver_segments WHERE id >= ? AND id < ?

-- name: purge_thread
DELETE FROM saver_threads WHERE no = ?

-- name: is_empty
SELECT NOT EXISTS (SELECT 1 FROM saver_checkpoints WHERE thread = ?1)
    AND NOT EXISTS (SELECT 1 FROM saver_writes WHERE thread = ?1)

-- name: checkpoints_of_run
SELECT thread, ns, checkpoint_id FROM saver_checkpoints WHERE run_id = ?

-- name: checkpoint
SELECT ns, checkpoint_id, parent_id, v, versions, body_type, body, metadata, sealed_type, sealed,
    small
FROM saver_checkpoints
WHERE thread = ? AND ns = ? AND checkpoint_id = ?

-- name: has_write
SELECT 1 FROM saver_writes
WHERE thread = ? AND ns = ? AND checkpoint_id = ? AND channel = ? LIMIT 1

-- name: checkpoint_keys
SELECT ns, checkpoint_id FROM saver_checkpoints WHERE thread = ?

-- name: foreign_checkpoint
SELECT ns, checkpoint_id FROM saver_checkpoints AS t WHERE t.thread = ?1
    AND NOT EXISTS (
        SELECT 1 FROM saver_checkpoints AS s
        WHERE s.thread = ?2 AND s.ns = t.ns AND s.checkpoint_id = t.checkpoint_id
    )
UNION ALL
SELECT ns, checkpoint_id FROM saver_writes AS t WHERE t.thread = ?1
    AND NOT EXISTS (
        SELECT 1 FROM saver_writes AS s
        WHERE s.thread = ?2 AND s.ns = t.ns AND s.checkpoint_id = t.checkpoint_id
    )
LIMIT 1

-- name: copy_checkpoints
INSERT INTO saver_checkpoints
    (thread, ns, checkpoint_id, parent_id, run_id, v, versions, link_checksum, body_type, body,
     metadata, sealed_type, sealed, small)
SELECT ?2, ns, checkpoint_id, parent_id, run_id, v, versions, link_checksum, body_type, body,
    metadata, sealed_type, sealed, small
FROM saver_checkpoints WHERE thread = ?1

-- name: copy_values
INSERT INTO saver_values (thread, ns, channel, version, type, data, layout)
SELECT ?2, ns, channel, version, type, data, layout FROM saver_values WHERE thread = ?1

-- name: copy_writes
INSERT INTO saver_writes
    (thread, ns, checkpoint_id, task_id, idx, task_path, channel, type, data, layout)
SELECT ?2, ns, checkpoint_id, task_id, idx, task_path, channel, type, data, layout
FROM saver_writes WHERE thread = ?1

-- name: copy_segments
INSERT INTO saver_segments (id, digests, data)
SELECT id - ?1 + ?3, digests, data FROM saver_segments WHERE id >= ?1 AND id < ?2

-- name: copy_garbage
UPDATE saver_threads SET garbage = (SELECT s.garbage FROM saver_threads AS s WHERE s.no = ?1)
WHERE no = ?2

-- name: expired_threads
SELECT thread_id FROM saver_threads WHERE expires_at <= ? ORDER BY expires_at LIMIT ?

-- name: lease
INSERT INTO saver_leases (name, owner, expires_at)
VALUES ('retention', ?1, (julianday('now') - 2440587.5) * 86400 + ?2)
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at
WHERE owner = excluded.owner OR expires_at <= excluded.expires_at - ?2
RETURNING 1

-- name: server_version
SELECT 'SQLite ' || sqlite_version()

-- name: thread_stats
SELECT count(*),
    (SELECT count(*) FROM saver_checkpoints WHERE thread = ?1),
    (SELECT count(*) FROM saver_values WHERE thread = ?1),
    (SELECT count(*) FROM saver_segments WHERE id >= ?2 AND id < ?3),
    (SELECT count(*) FROM saver_writes WHERE thread = ?1),
    (SELECT coalesce(sum(length(body) + length(versions) + length(metadata)
        + coalesce(length(sealed), 0) + coalesce(length(small), 0)), 0) FROM saver_checkpoints WHERE thread = ?1)
    + (SELECT coalesce(sum(length(data) + coalesce(length(layout), 0)), 0)
        FROM saver_values WHERE thread = ?1)
    + (SELECT coalesce(sum(length(data) + length(digests)), 0)
        FROM saver_segments WHERE id >= ?2 AND id < ?3)
    + (SELECT coalesce(sum(length(data) + coalesce(length(layout), 0)), 0)
        FROM saver_writes WHERE thread = ?1)
FROM saver_threads WHERE no = ?1

-- name: all_stats
SELECT
    (SELECT count(*) FROM saver_threads),
    (SELECT count(*) FROM saver_checkpoints),
    (SELECT count(*) FROM saver_values),
    (SELECT count(*) FROM saver_segments),
    (SELECT count(*) FROM saver_writes),
    (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)
