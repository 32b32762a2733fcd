-- Items. The namespace is the text that store_vector.namespaces makes of it: it sorts as namespaces
-- do, byte by byte, and all under one is a range. The value is JSON as it was put: as text, since
-- json and jsonb do not take all of it. `keys` are its filter keys (store_vector.filters.keys); each declared
-- field has an index over one of them, made by setup().
CREATE TABLE {schema}.store_items (
    ns text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    value text NOT NULL,
    created_at double precision NOT NULL,
    updated_at double precision NOT NULL,
    expires_at double precision,
    ttl double precision,
    keys jsonb NOT NULL,
    PRIMARY KEY (ns, key)
);
CREATE INDEX store_items_updated ON {schema}.store_items (updated_at DESC, ns, key);
CREATE INDEX store_items_expires ON {schema}.store_items (expires_at) WHERE expires_at IS NOT NULL;

-- Embeddings of items: float32, little-endian. `digest` is that of the text at the path `field`. Where
-- pgvector is, a column of its own type is added for each length of vectors.
CREATE TABLE {schema}.store_embeddings (
    ns text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    digest text COLLATE "C" NOT NULL,
    field text COLLATE "C" NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (ns, key, digest)
);
ALTER TABLE {schema}.store_embeddings ALTER COLUMN data SET STORAGE EXTERNAL;
