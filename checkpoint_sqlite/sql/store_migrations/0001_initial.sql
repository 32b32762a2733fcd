-- Items. The namespace is the text that store_vector.namespaces makes of it: it sorts as namespaces
-- do, and all under one is a range. `keys` is JSON of the filter keys (store_vector.filters.keys); each
-- declared field has an index over one of them, made by setup().
CREATE TABLE store_items (
    id INTEGER PRIMARY KEY,
    ns TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    expires_at REAL,
    ttl REAL,
    keys TEXT NOT NULL
);
CREATE UNIQUE INDEX store_items_name ON store_items (ns, key);
CREATE INDEX store_items_updated ON store_items (updated_at DESC, ns, key);
CREATE INDEX store_items_expires ON store_items (expires_at) WHERE expires_at IS NOT NULL;

-- The embeddings of an item: a JSON array of [field, digest of the text there], and as many vectors
-- of little-endian float32, one after the other.
CREATE TABLE store_embeddings (
    item INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    texts TEXT NOT NULL,
    data BLOB NOT NULL
);

-- Whose embeddings have changed lately: with it, each process brings the vectors that it has in
-- memory up to date. Numbers are never given twice.
CREATE TABLE store_changes (
    change INTEGER PRIMARY KEY AUTOINCREMENT,
    item INTEGER NOT NULL
);
CREATE TRIGGER store_embeddings_new AFTER INSERT ON store_embeddings BEGIN
    INSERT INTO store_changes (item) VALUES (new.item);
END;
CREATE TRIGGER store_embeddings_gone AFTER DELETE ON store_embeddings BEGIN
    INSERT INTO store_changes (item) VALUES (old.item);
END;
CREATE TRIGGER store_items_gone AFTER DELETE ON store_items BEGIN
    DELETE FROM store_embeddings WHERE item = old.id;
END;
