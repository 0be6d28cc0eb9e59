-- Back to likenesses that are made unseen.
ALTER FUNCTION {schema}.list_rows(text, text, text, boolean, bigint, bigint) RESET plan_cache_mode;
ALTER FUNCTION {schema}.list_entries(text, text, text, text, integer, text, boolean, boolean, bigint, bigint)
    RESET plan_cache_mode;
DROP TRIGGER versioned_stays ON {schema}.storage_objects;
DROP FUNCTION {inner}.versioned_stays();
ALTER POLICY "~aerostore_versions_obey" ON {schema}.storage_object_versions TO anon, authenticated
    USING ((SELECT {schema}.versions_obey()));

-- Whether versions obey all policies. Where they do not, users see none of them.
CREATE OR REPLACE FUNCTION {schema}.versions_obey() RETURNS boolean LANGUAGE sql STABLE
    RETURN NOT EXISTS (SELECT 1 FROM {schema}.policies_to_mirror());

-- Makes the likenesses, as the owner of the tables. An expression with a subquery names columns by the table, so that the
-- versions' table has the objects' name for as long.
CREATE OR REPLACE FUNCTION {inner}.mirror_policies() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m record;
    p pg_catalog.pg_policy;
BEGIN
    IF {schema}.versions_obey() THEN
        RETURN;
    END IF;
    ALTER TABLE {schema}.storage_object_versions SET SCHEMA {inner};
    ALTER TABLE {inner}.storage_object_versions RENAME TO storage_objects;
    FOR m IN SELECT * FROM {schema}.policies_to_mirror() LOOP
        IF EXISTS (SELECT 1 FROM pg_policy v WHERE v.polrelid = '{inner}.storage_objects'::regclass
            AND v.polname = m.name)
        THEN
            EXECUTE format('DROP POLICY %I ON {inner}.storage_objects', m.name);
        END IF;
        CONTINUE WHEN m.policy IS NULL;
        SELECT * INTO p FROM pg_policy WHERE oid = m.policy;
        BEGIN
            EXECUTE format('CREATE POLICY %I ON {inner}.storage_objects AS %s FOR %s TO %s', p.polname,
                    CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                    CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                        WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                    (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE r::regrole::text END, ', ')
                        FROM unnest(p.polroles) r))
                || coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')
                || coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '');
        EXCEPTION WHEN OTHERS THEN
            RAISE EXCEPTION 'the policy % can''t be made for versions of objects: %; drop it, or write it in another way',
                p.polname, SQLERRM USING ERRCODE = SQLSTATE;
        END;
        EXECUTE format('COMMENT ON POLICY %I ON {inner}.storage_objects IS %L', m.name, m.likeness);
    END LOOP;
    ALTER TABLE {inner}.storage_objects RENAME TO storage_object_versions;
    ALTER TABLE {inner}.storage_object_versions SET SCHEMA {schema};
END
$$;
