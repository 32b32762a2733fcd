-- Every key begins with thread_id, so that all of a thread is in one shard or partition. Text is
-- compared byte by byte, which is the order of Python's strings, whatever the database's locale.

-- Autovacuum waits for some hundred rows: a plan made on the statistics of a handful would read
-- whole tables, and prepared statements keep their plans until the next look.

-- `body`, the values' and writes' `data`, and `digests` end with the checksum of their row, which
-- covers the thread's salt. `link_checksum` covers parent_id and versions alone.

-- Threads: the lock, the clock and the log of everything below. `garbage` is about how many bytes
-- puts have replaced in the thread since its last collection.
CREATE TABLE {schema}.saver_threads (
    thread_id text COLLATE "C" PRIMARY KEY,
    created_at double precision NOT NULL,
    updated_at double precision NOT NULL,
    expires_at double precision,
    ttl_override double precision,
    epoch bigint NOT NULL,
    log_end bigint NOT NULL,
    garbage bigint NOT NULL DEFAULT 0,
    salt bytea NOT NULL,
    updated_minute bigint NOT NULL
        GENERATED ALWAYS AS (floor(updated_at / 60)::bigint) STORED
) WITH (
    fillfactor = 70, autovacuum_analyze_threshold = 500, autovacuum_vacuum_threshold = 500
);
-- By the minute, so that most puts change nothing that is indexed, and no index entry is made.
CREATE INDEX saver_threads_updated ON {schema}.saver_threads (updated_minute);
CREATE INDEX saver_threads_expires ON {schema}.saver_threads (expires_at)
    WHERE expires_at IS NOT NULL;
CREATE INDEX saver_threads_garbage ON {schema}.saver_threads (garbage) WHERE garbage > 0;

-- Checkpoints, with their small values in `small`: a row of up to 4 KB stays in one piece. The key has the order of lists, of one namespace or of all.
CREATE TABLE {schema}.saver_checkpoints (
    thread_id text COLLATE "C" NOT NULL,
    ns text COLLATE "C" NOT NULL,
    checkpoint_id text COLLATE "C" NOT NULL,
    parent_id text COLLATE "C",
    run_id text COLLATE "C",
    v integer NOT NULL,
    versions text NOT NULL,
    link_checksum bytea NOT NULL,
    body_type text NOT NULL,
    body bytea NOT NULL,
    metadata text NOT NULL,
    sealed_type text,
    sealed bytea,
    small bytea,
    PRIMARY KEY (thread_id, checkpoint_id, ns)
) WITH (
    toast_tuple_target = 4080, autovacuum_analyze_threshold = 500,
    autovacuum_vacuum_threshold = 500
);
-- For lists over all threads. An expression, lest the newest of one thread be looked for in it.
CREATE INDEX saver_checkpoints_newest ON {schema}.saver_checkpoints ((checkpoint_id || ''));
CREATE INDEX saver_checkpoints_run ON {schema}.saver_checkpoints (run_id)
    WHERE run_id IS NOT NULL;

-- `ranges`: what of the thread's log the layout needs, so that a join can fetch it.
CREATE TABLE {schema}.saver_values (
    thread_id text COLLATE "C" NOT NULL,
    ns text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    type text NOT NULL,
    data bytea NOT NULL,
    layout bytea,
    ranges int8multirange,
    PRIMARY KEY (thread_id, ns, channel, version)
) WITH (autovacuum_analyze_threshold = 500, autovacuum_vacuum_threshold = 500);
ALTER TABLE {schema}.saver_values ALTER COLUMN data SET STORAGE EXTERNAL;

-- The threads' logs: `start` is where in its log the segment begins.
CREATE TABLE {schema}.saver_segments (
    thread_id text COLLATE "C" NOT NULL,
    start bigint NOT NULL,
    digests bytea NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (thread_id, start)
) WITH (autovacuum_analyze_threshold = 500, autovacuum_vacuum_threshold = 500);
ALTER TABLE {schema}.saver_segments
    ALTER COLUMN data SET STORAGE EXTERNAL, ALTER COLUMN digests SET STORAGE EXTERNAL;

CREATE TABLE {schema}.saver_writes (
    thread_id text COLLATE "C" NOT NULL,
    ns text COLLATE "C" NOT NULL,
    checkpoint_id text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    idx integer NOT NULL,
    task_path text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    type text NOT NULL,
    data bytea NOT NULL,
    layout bytea,
    ranges int8multirange,
    PRIMARY KEY (thread_id, ns, checkpoint_id, task_id, idx)
) WITH (autovacuum_analyze_threshold = 500, autovacuum_vacuum_threshold = 500);
ALTER TABLE {schema}.saver_writes ALTER COLUMN data SET STORAGE EXTERNAL;
