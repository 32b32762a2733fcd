-- What is short in a value (store_vector.facets), so that conditions need not take its text apart.
-- Where it is NULL they do: items put before there was this column, and those that have too much.
ALTER TABLE {schema}.store_items ADD COLUMN facets jsonb;
