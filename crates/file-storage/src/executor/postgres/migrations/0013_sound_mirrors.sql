-- A policy that can't hold for versions closes them to users, and takes nothing else down.

-- Whether versions obey all policies. Where they do not, users see none of them. What has a name like the server's own, and is
-- not, has no likeness.
CREATE OR REPLACE FUNCTION {schema}.versions_obey() RETURNS boolean LANGUAGE sql STABLE
    RETURN NOT EXISTS (SELECT 1 FROM {schema}.policies_to_mirror())
        AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_policy p WHERE p.polrelid = '{schema}.storage_objects'::regclass
            AND starts_with(p.polname::text, '~aerostore_')
            AND p.polname::text <> ALL (ARRAY['~aerostore_keeper', '~aerostore_service', '~aerostore_object_read_anon',
                '~aerostore_object_read', '~aerostore_object_create', '~aerostore_object_overwrite',
                '~aerostore_object_delete', '~aerostore_object_of_ones_own', '~aerostore_object_to_somebody']));

-- Makes the likenesses, as the owner of the tables. One that would ask itself is refused: it would fail every request. So is
-- one in whose place there is a policy that was made by hand for versions. An expression with a subquery names columns by
-- the table, so that the versions' table has the objects' name for as long.
CREATE OR REPLACE FUNCTION {inner}.mirror_policies() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m record;
    p pg_catalog.pg_policy;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM {schema}.policies_to_mirror()) THEN
        RETURN;
    END IF;
    ALTER TABLE {schema}.storage_object_versions SET SCHEMA {inner};
    ALTER TABLE {inner}.storage_object_versions RENAME TO storage_objects;
    FOR m IN SELECT * FROM {schema}.policies_to_mirror() LOOP
        IF EXISTS (SELECT 1 FROM pg_policy v WHERE v.polrelid = '{inner}.storage_objects'::regclass AND v.polname = m.name
            AND coalesce(obj_description(v.oid, 'pg_policy'), '') NOT LIKE 'mirrors %')
        THEN
            RAISE EXCEPTION 'the policy % can''t be made for versions of objects: they have one of that name that was made by hand',
                m.name USING ERRCODE = 'duplicate_object';
        END IF;
        IF EXISTS (SELECT 1 FROM pg_policy v WHERE v.polrelid = '{inner}.storage_objects'::regclass
            AND v.polname = m.name)
        THEN
            EXECUTE format('DROP POLICY %I ON {inner}.storage_objects', m.name);
        END IF;
        CONTINUE WHEN m.policy IS NULL;
        SELECT * INTO p FROM pg_policy WHERE oid = m.policy;
        IF EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid
            AND d.refclassid = 'pg_class'::regclass AND d.refobjid = '{inner}.storage_objects'::regclass)
        THEN
            RAISE EXCEPTION 'the policy % can''t be made for versions of objects: it looks into them', p.polname
                USING ERRCODE = 'invalid_object_definition';
        END IF;
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

-- Other roles of the operator's see no more than users do.
ALTER POLICY "~aerostore_versions_obey" ON {schema}.storage_object_versions TO PUBLIC
    USING (current_user IN ('aerostore_keeper', 'service_role') OR (SELECT {schema}.versions_obey()));

-- What is a version of its own stays one: as the null version it would be replaced, and not kept.
CREATE FUNCTION {inner}.versioned_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'a version of its own stays one' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER versioned_stays BEFORE UPDATE OF versioned ON {schema}.storage_objects FOR EACH ROW
    WHEN (old.versioned AND NOT new.versioned AND new.version = old.version AND current_user IN ('anon', 'authenticated'))
    EXECUTE FUNCTION {inner}.versioned_stays();

-- Lists plan anew for every page else, and for every policy there is.
ALTER FUNCTION {schema}.list_rows(text, text, text, boolean, bigint, bigint) SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION {schema}.list_entries(text, text, text, text, integer, text, boolean, boolean, bigint, bigint)
    SET plan_cache_mode = force_generic_plan;
