-- name: rights
-- $1: the words of an error's message. Returns the current role, whether the server is a standby,
-- and each right that the role lacks on a table, schema or database named in the message; at least
-- one row.
SELECT current_user::text, pg_is_in_recovery(), lacking.kind, lacking.name, lacking.privilege
FROM (SELECT 1) AS one
LEFT JOIN (
    SELECT 'table' AS kind, format('%I.%I', n.nspname, c.relname) AS name, p.privilege
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p (privilege)
    WHERE c.relkind IN ('r', 'p') AND c.relname = ANY ($1::text[])
        AND NOT has_table_privilege(c.oid, p.privilege)
    UNION ALL
    SELECT 'schema', format('%I', n.nspname), p.privilege
    FROM pg_namespace AS n CROSS JOIN unnest(ARRAY['USAGE', 'CREATE']) AS p (privilege)
    WHERE n.nspname = ANY ($1::text[]) AND NOT has_schema_privilege(n.oid, p.privilege)
    UNION ALL
    SELECT 'database', format('%I', current_database()), 'CREATE'
    WHERE current_database() = ANY ($1::text[])
        AND NOT has_database_privilege(current_database(), 'CREATE')
) AS lacking ON true
