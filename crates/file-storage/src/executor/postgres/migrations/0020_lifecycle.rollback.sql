UPDATE {schema}.upload_queue SET reason = 'migration' WHERE reason = 'archive';
DO $$
DECLARE
    kept text;
    words text;
BEGIN
    SELECT c.conname, pg_get_constraintdef(c.oid) INTO STRICT kept, words FROM pg_constraint c
        WHERE c.conrelid = '{schema}.upload_queue'::regclass AND c.contype = 'c'
        AND pg_get_constraintdef(c.oid) LIKE '%''archive''%';
    EXECUTE format('ALTER TABLE {schema}.upload_queue DROP CONSTRAINT %I', kept);
    EXECUTE format('ALTER TABLE {schema}.upload_queue ADD CONSTRAINT %I %s', kept,
        replace(words, ', ''archive''::text', ''));
END
$$;
DROP TABLE {schema}.lifecycle_state;
DROP TABLE {schema}.lifecycle_warnings;
DROP TABLE {schema}.lifecycle_rules;
