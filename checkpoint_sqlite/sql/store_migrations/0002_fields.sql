-- Fields that searches have filtered by. Items up to `listed` are in store_fields, and those that
-- were put since; NULL: all are.
CREATE TABLE store_paths (
    number INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    listed INTEGER
);

-- What items have there, as it sorts (store_vector.spans): of the item with id n, path number p,
-- the field is 256 n + p.
CREATE TABLE store_fields (
    field INTEGER PRIMARY KEY,
    path INTEGER NOT NULL,
    value NOT NULL,
    updated_at REAL NOT NULL
);
CREATE INDEX store_fields_value ON store_fields (path, value, updated_at DESC);
CREATE TRIGGER store_fields_gone AFTER DELETE ON store_items BEGIN
    DELETE FROM store_fields WHERE field >= old.id << 8 AND field < (old.id + 1) << 8;
END;
CREATE TRIGGER store_fields_old AFTER UPDATE OF value ON store_items BEGIN
    DELETE FROM store_fields WHERE field >= old.id << 8 AND field < (old.id + 1) << 8;
END;
