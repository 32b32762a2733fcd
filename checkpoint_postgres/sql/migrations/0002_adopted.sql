-- Threads that were copied out of LangGraph's own tables: `state` is what the original was like,
-- `ns` and `checkpoint_id` how far it is copied, NULL when it is copied whole.
CREATE TABLE {schema}.saver_adopted (
    thread_id text COLLATE "C" PRIMARY KEY,
    state text NOT NULL,
    ns text,
    checkpoint_id text
) WITH (autovacuum_analyze_threshold = 500, autovacuum_vacuum_threshold = 500);
