-- Which process does what one process does for all: `name` is the work.
CREATE TABLE {schema}.saver_leases (
    name text PRIMARY KEY,
    owner text NOT NULL,
    expires_at timestamptz NOT NULL
);
