-- `body`, the values' and writes' `data`, and `digests` end with the checksum of their row, which
-- covers the thread's salt. `link_checksum` covers parent_id and versions alone.

-- Threads: the lock, the clock and the log of everything below. `garbage` is about how many bytes
-- puts have replaced in the thread since its last collection.
CREATE TABLE saver_threads (
    no INTEGER PRIMARY KEY,
    thread_id TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    expires_at REAL,
    ttl_override REAL,
    epoch INTEGER NOT NULL,
    log_end INTEGER NOT NULL DEFAULT 0,
    garbage INTEGER NOT NULL DEFAULT 0,
    salt BLOB NOT NULL
);
CREATE INDEX saver_threads_updated ON saver_threads (updated_at, thread_id);
CREATE INDEX saver_threads_expires ON saver_threads (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX saver_threads_garbage ON saver_threads (garbage) WHERE garbage > 0;

-- Checkpoints, with their small values in `small`. Rows of a kilobyte do not fit WITHOUT ROWID
-- tables.
CREATE TABLE saver_checkpoints (
    id INTEGER PRIMARY KEY,
    thread INTEGER NOT NULL,
    ns TEXT NOT NULL,
    checkpoint_id TEXT NOT NULL,
    parent_id TEXT,
    run_id TEXT,
    v INTEGER NOT NULL,
    versions TEXT NOT NULL,
    link_checksum BLOB NOT NULL,
    body_type TEXT NOT NULL,
    body BLOB NOT NULL,
    metadata TEXT NOT NULL,
    sealed_type TEXT,
    sealed BLOB,
    small BLOB
);
CREATE UNIQUE INDEX saver_checkpoints_key ON saver_checkpoints (thread, ns, checkpoint_id);
CREATE INDEX saver_checkpoints_thread ON saver_checkpoints (thread, checkpoint_id);
CREATE INDEX saver_checkpoints_newest ON saver_checkpoints (checkpoint_id);
CREATE INDEX saver_checkpoints_run ON saver_checkpoints (run_id) WHERE run_id IS NOT NULL;

CREATE TABLE saver_values (
    id INTEGER PRIMARY KEY,
    thread INTEGER NOT NULL,
    ns TEXT NOT NULL,
    channel TEXT NOT NULL,
    version TEXT NOT NULL,
    type TEXT NOT NULL,
    data BLOB NOT NULL,
    layout BLOB
);
CREATE UNIQUE INDEX saver_values_key ON saver_values (thread, ns, channel, version);

-- The threads' logs. id = thread number * 2^36 + where in the thread's log the segment begins,
-- so that a range of a log is a range of this table.
CREATE TABLE saver_segments (
    id INTEGER PRIMARY KEY,
    digests BLOB NOT NULL,
    data BLOB NOT NULL
);

CREATE TABLE saver_writes (
    id INTEGER PRIMARY KEY,
    thread INTEGER NOT NULL,
    ns TEXT NOT NULL,
    checkpoint_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    idx INTEGER NOT NULL,
    task_path TEXT NOT NULL,
    channel TEXT NOT NULL,
    type TEXT NOT NULL,
    data BLOB NOT NULL,
    layout BLOB
);
CREATE UNIQUE INDEX saver_writes_key
    ON saver_writes (thread, ns, checkpoint_id, task_id, idx);
