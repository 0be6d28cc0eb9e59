-- Versions are seen by whom they belong to, nobody removes one that is not his to delete, every policy of objects holds for
-- them, and no setting of a caller's switches the books off.

-- A delete marker carries what policies may ask of what it hides; it is shown without it.
ALTER TABLE {schema}.storage_object_versions DROP CONSTRAINT storage_object_versions_check;

-- What is not current is its owner's and the bucket's owner's: what a bucket's policy opens to others is what is there now.
DROP POLICY "~aerostore_object_read_anon" ON {schema}.storage_object_versions;
ALTER POLICY "~aerostore_object_read" ON {schema}.storage_object_versions
    USING (current_user = 'authenticated'
        AND (owner_id = (SELECT {schema}.current_user_id()) OR (
            SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id
            AND b.owner_id = (SELECT {schema}.current_user_id()))));

-- People's policies hold for versions as for objects, also those that were made by hand. Each has a likeness on the versions'
-- table, whose comment says of what: the expressions as the catalog has them.

-- The policies of objects that have no likeness, or another, and the likenesses of none.
CREATE FUNCTION {schema}.policies_to_mirror() RETURNS TABLE (name text, policy oid, likeness text)
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce(p.polname, v.polname)::text, p.oid, p.likeness
        FROM (SELECT o.oid, o.polname, 'mirrors ' || md5(concat_ws('|', o.polpermissive, o.polcmd, o.polroles,
                coalesce(o.polqual::text, ''), coalesce(o.polwithcheck::text, ''))) AS likeness
            FROM pg_catalog.pg_policy o WHERE o.polrelid = '{schema}.storage_objects'::regclass
            AND NOT starts_with(o.polname::text, '~aerostore_')) p
        FULL JOIN (SELECT l.polname, d.description FROM pg_catalog.pg_policy l
            JOIN pg_catalog.pg_description d ON d.objoid = l.oid AND d.objsubid = 0
                AND d.classoid = 'pg_catalog.pg_policy'::regclass AND starts_with(d.description, 'mirrors ')
            WHERE l.polrelid = '{schema}.storage_object_versions'::regclass) v ON v.polname = p.polname
        WHERE p.likeness IS DISTINCT FROM v.description;
END;

-- Whether versions obey all policies. Where they do not, users see none of them.
CREATE FUNCTION {schema}.versions_obey() RETURNS boolean LANGUAGE sql STABLE
    RETURN NOT EXISTS (SELECT 1 FROM {schema}.policies_to_mirror());
CREATE POLICY "~aerostore_versions_obey" ON {schema}.storage_object_versions AS RESTRICTIVE TO anon, authenticated
    USING ((SELECT {schema}.versions_obey()));

-- Makes the likenesses, as the owner of the tables. An expression with a subquery names columns by the table, so that the
-- versions' table has the objects' name for as long.
CREATE FUNCTION {inner}.mirror_policies() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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
REVOKE ALL ON FUNCTION {inner}.mirror_policies() FROM PUBLIC;
SELECT {inner}.mirror_policies();

SET LOCAL ROLE aerostore_keeper;

-- Whether policies that restrict may hide rows from a role that it could otherwise see: then a deletion that finds nothing
-- leaves no trace, as one that finds what is hidden.
CREATE FUNCTION {inner}.hides(asker text) RETURNS boolean LANGUAGE sql STABLE
    RETURN EXISTS (SELECT 1 FROM pg_catalog.pg_policy p, pg_catalog.pg_roles r
        WHERE p.polrelid = '{schema}.storage_objects'::regclass AND NOT p.polpermissive
        AND p.polcmd IN ('r', '*') AND NOT starts_with(p.polname::text, '~aerostore_')
        AND r.rolname = asker AND (0::oid = ANY (p.polroles) OR r.oid = ANY (p.polroles)));

-- A setting of the server's own: of value only where the keeper is at work, as anybody can set one.
CREATE FUNCTION {inner}.at_work(setting text) RETURNS text LANGUAGE sql STABLE
    RETURN CASE WHEN current_setting('role', true) = 'aerostore_keeper'
        THEN nullif(current_setting(setting, true), '') END;

-- Makes room for another null version at a path: the one among the versions is one of its own from now on.
CREATE FUNCTION {inner}.keep_null(bucket text, place text) RETURNS void LANGUAGE sql AS $$
    UPDATE {schema}.storage_object_versions v SET versioned = true
        WHERE v.bucket_id = bucket AND v.path = place AND NOT v.versioned;
$$;

-- Puts a delete marker where no object is; says whether it did, and whether it is a version of its own.
CREATE OR REPLACE FUNCTION {inner}.mark(bucket text, place text, marker uuid, owner uuid)
    RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    state text;
BEGIN
    SELECT b.versioning INTO state FROM {schema}.storage_buckets b WHERE b.id = bucket FOR KEY SHARE;
    IF state IS NULL OR state = 'off'
        OR EXISTS (SELECT 1 FROM {schema}.storage_objects o WHERE o.bucket_id = bucket AND o.path = place)
    THEN
        RETURN NULL;
    END IF;
    IF state = 'suspended' THEN
        PERFORM {inner}.keep_null(bucket, place);
    END IF;
    INSERT INTO {schema}.storage_object_versions
            (bucket_id, path, id, size, content_type, etag, owner_id, version, versioned, is_delete_marker)
        VALUES (bucket, place, gen_random_uuid(), 0, '', '', owner, marker, state = 'enabled', true);
    RETURN state = 'enabled';
END
$$;

-- What a version that is not current counts for is given back when it goes, and not when it becomes the object. A delete
-- marker counts for nothing, whatever size it carries.
CREATE OR REPLACE FUNCTION {inner}.versions_vanished() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c record;
    reason text := {inner}.at_work('aerostore.reason');
BEGIN
    IF {inner}.at_work('aerostore.promoting') = 'on' THEN
        RETURN NULL;
    END IF;
    FOR c IN SELECT bucket_id, sum(size)::bigint AS bytes FROM vanished
        WHERE NOT is_delete_marker GROUP BY bucket_id HAVING sum(size) > 0 ORDER BY bucket_id
    LOOP
        PERFORM {inner}.count_in_bucket(c.bucket_id, 0, -c.bytes);
    END LOOP;
    FOR c IN SELECT owner_id, sum(size)::bigint AS bytes FROM vanished
        WHERE owner_id IS NOT NULL AND NOT is_delete_marker GROUP BY owner_id HAVING sum(size) > 0 ORDER BY owner_id
    LOOP
        PERFORM {inner}.count_for_owner(c.owner_id, 0, -c.bytes);
    END LOOP;
    PERFORM {inner}.discard_bytes(ARRAY(SELECT version FROM vanished WHERE NOT is_delete_marker));
    INSERT INTO {schema}.storage_events (kind, bucket_id, path, owner_id, payload)
        SELECT 'storage.object.deleted', v.bucket_id, v.path, v.owner_id,
            {inner}.told(v.id, v.version, v.size, v.content_type, v.etag)
                || jsonb_build_object('version_id', CASE WHEN v.versioned THEN v.version::text ELSE 'null' END)
                || CASE WHEN reason IS NULL THEN '{}' ELSE jsonb_build_object('reason', reason) END
        FROM vanished v WHERE NOT v.is_delete_marker ORDER BY v.bucket_id, v.path, v.sequence;
    RETURN NULL;
END
$$;

-- A version has one row, of either table: else the bytes of the one would be reached by the other. What is left of a null
-- version where another is made, as whoever makes it may not delete it, is kept.
CREATE OR REPLACE FUNCTION {inner}.objects_appeared() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c record;
    -- A version that becomes the object is counted already.
    promoting boolean := coalesce({inner}.at_work('aerostore.promoting'), '') = 'on';
BEGIN
    IF EXISTS (SELECT 1 FROM appeared a JOIN {schema}.storage_object_versions v ON v.version = a.version) THEN
        RAISE EXCEPTION 'there is such a version' USING ERRCODE = 'unique_violation';
    END IF;
    UPDATE {schema}.storage_object_versions v SET versioned = true FROM appeared a
        WHERE v.bucket_id = a.bucket_id AND v.path = a.path AND NOT v.versioned AND NOT a.versioned;
    FOR c IN SELECT bucket_id, count(*) AS files, sum(size)::bigint AS bytes FROM appeared
        GROUP BY bucket_id ORDER BY bucket_id
    LOOP
        PERFORM {inner}.count_in_bucket(c.bucket_id, c.files, CASE WHEN promoting THEN 0 ELSE c.bytes END);
    END LOOP;
    FOR c IN SELECT owner_id, count(*) AS files, sum(size)::bigint AS bytes FROM appeared
        WHERE owner_id IS NOT NULL GROUP BY owner_id ORDER BY owner_id
    LOOP
        PERFORM {inner}.count_for_owner(c.owner_id, c.files, CASE WHEN promoting THEN 0 ELSE c.bytes END);
    END LOOP;
    INSERT INTO {schema}.storage_events (kind, bucket_id, path, owner_id, payload)
        SELECT 'storage.object.created', a.bucket_id, a.path, a.owner_id,
            {inner}.told(a.id, a.version, a.size, a.content_type, a.etag)
                || CASE WHEN promoting THEN '{"reason": "restored"}' ELSE '{}'::jsonb END
        FROM appeared a;
    RETURN NULL;
END
$$;

-- `aerostore.reason` says why, where the server itself deletes: no event is told of a row that another replaces, and no
-- delete marker takes its place. `aerostore.for_good` says that nothing is kept: whoever may delete a row may also delete
-- what is kept of it. A delete marker carries what policies may ask of what it hides, so that they hide both.
CREATE OR REPLACE FUNCTION {inner}.objects_vanished() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c record;
    reason text := {inner}.at_work('aerostore.reason');
    keeps boolean := false;
BEGIN
    IF coalesce(current_setting('aerostore.for_good', true), '') <> 'on' THEN
        -- Until the end of the transaction, a bucket that keeps versions goes on with it as it does now.
        PERFORM 1 FROM {schema}.storage_buckets b
            WHERE b.versioning <> 'off' AND b.id IN (SELECT bucket_id FROM vanished) FOR KEY SHARE;
        keeps := FOUND;
    END IF;
    FOR c IN SELECT v.bucket_id, count(*) AS files, coalesce(sum(v.size) FILTER (WHERE NOT (
                keeps AND (b.versioning = 'enabled' OR b.versioning = 'suspended' AND v.versioned))), 0)::bigint AS bytes
        FROM vanished v JOIN {schema}.storage_buckets b ON b.id = v.bucket_id
        GROUP BY v.bucket_id ORDER BY v.bucket_id
    LOOP
        PERFORM {inner}.count_in_bucket(c.bucket_id, -c.files, -c.bytes);
    END LOOP;
    FOR c IN SELECT v.owner_id, count(*) AS files, coalesce(sum(v.size) FILTER (WHERE NOT (
                keeps AND (b.versioning = 'enabled' OR b.versioning = 'suspended' AND v.versioned))), 0)::bigint AS bytes
        FROM vanished v JOIN {schema}.storage_buckets b ON b.id = v.bucket_id
        WHERE v.owner_id IS NOT NULL GROUP BY v.owner_id ORDER BY v.owner_id
    LOOP
        PERFORM {inner}.count_for_owner(c.owner_id, -c.files, -c.bytes);
    END LOOP;
    IF keeps THEN
        PERFORM {inner}.keep_null(v.bucket_id, v.path) FROM vanished v
            JOIN {schema}.storage_buckets b ON b.id = v.bucket_id
            WHERE b.versioning = 'suspended' OR b.versioning = 'enabled' AND NOT v.versioned;
        PERFORM {inner}.discard_bytes(ARRAY(SELECT v.version FROM vanished v
            JOIN {schema}.storage_buckets b ON b.id = v.bucket_id
            WHERE b.versioning = 'off' OR b.versioning = 'suspended' AND NOT v.versioned));
        INSERT INTO {schema}.storage_object_versions (bucket_id, path, id, size, content_type, cache_control,
                checksum, etag, owner_id, metadata, version, created_at, updated_at, extra, versioned)
            SELECT v.bucket_id, v.path, v.id, v.size, v.content_type, v.cache_control, v.checksum, v.etag,
                v.owner_id, v.metadata, v.version, v.created_at, v.updated_at, v.extra, v.versioned
            FROM vanished v JOIN {schema}.storage_buckets b ON b.id = v.bucket_id
            WHERE b.versioning = 'enabled' OR b.versioning = 'suspended' AND v.versioned;
        INSERT INTO {schema}.storage_object_versions
                (bucket_id, path, id, size, content_type, cache_control, checksum, etag, owner_id, metadata, version,
                created_at, updated_at, versioned, is_delete_marker)
            SELECT v.bucket_id, v.path, v.id, v.size, v.content_type, v.cache_control, v.checksum, v.etag, v.owner_id,
                v.metadata, md5('delete marker of ' || v.version)::uuid, v.created_at, v.updated_at,
                b.versioning = 'enabled', true
            FROM vanished v JOIN {schema}.storage_buckets b ON b.id = v.bucket_id
            WHERE b.versioning <> 'off' AND reason IS DISTINCT FROM 'replaced';
    ELSE
        PERFORM {inner}.discard_bytes(ARRAY(SELECT version FROM vanished));
    END IF;
    INSERT INTO {schema}.storage_events (kind, bucket_id, path, owner_id, payload)
        SELECT 'storage.object.deleted', v.bucket_id, v.path, v.owner_id,
            {inner}.told(v.id, v.version, v.size, v.content_type, v.etag)
                || CASE WHEN reason IS NULL THEN '{}' ELSE jsonb_build_object('reason', reason) END
                || CASE WHEN keeps AND b.versioning <> 'off' THEN jsonb_build_object('delete_marker',
                    CASE b.versioning WHEN 'enabled' THEN md5('delete marker of ' || v.version)::uuid::text
                        ELSE 'null' END) ELSE '{}' END
        FROM vanished v JOIN {schema}.storage_buckets b ON b.id = v.bucket_id
        WHERE reason IS DISTINCT FROM 'replaced' ORDER BY v.bucket_id, v.path;
    RETURN NULL;
END
$$;

-- A row that has another place was moved, and takes its bytes along; one with another version there was overwritten. What
-- is overwritten is kept, unless it and what replaces it are both the null version: where no versions are kept, all are.
CREATE OR REPLACE FUNCTION {inner}.objects_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c record;
BEGIN
    IF EXISTS (SELECT 1 FROM appeared a JOIN {schema}.storage_object_versions v ON v.version = a.version) THEN
        RAISE EXCEPTION 'there is such a version' USING ERRCODE = 'unique_violation';
    END IF;
    UPDATE {schema}.storage_object_versions x SET versioned = true FROM vanished v JOIN appeared a ON a.id = v.id
        WHERE x.bucket_id = a.bucket_id AND x.path = a.path AND NOT x.versioned AND NOT (a.versioned AND v.versioned);
    FOR c IN SELECT bucket_id, sum(files)::bigint AS files, sum(bytes)::bigint AS bytes FROM (
            SELECT bucket_id, 1 AS files, size AS bytes FROM appeared
            UNION ALL SELECT v.bucket_id, -1, CASE WHEN (v.versioned OR a.versioned) AND a.version <> v.version
                AND (a.bucket_id, a.path) = (v.bucket_id, v.path) THEN 0 ELSE -v.size END
            FROM vanished v JOIN appeared a ON a.id = v.id) change
        GROUP BY bucket_id HAVING sum(files) <> 0 OR sum(bytes) <> 0 ORDER BY bucket_id
    LOOP
        PERFORM {inner}.count_in_bucket(c.bucket_id, c.files, c.bytes);
    END LOOP;
    FOR c IN SELECT owner_id, sum(files)::bigint AS files, sum(bytes)::bigint AS bytes FROM (
            SELECT owner_id, 1 AS files, size AS bytes FROM appeared
            UNION ALL SELECT v.owner_id, -1, CASE WHEN (v.versioned OR a.versioned) AND a.version <> v.version
                AND (a.bucket_id, a.path) = (v.bucket_id, v.path) THEN 0 ELSE -v.size END
            FROM vanished v JOIN appeared a ON a.id = v.id) change
        WHERE owner_id IS NOT NULL
        GROUP BY owner_id HAVING sum(files) <> 0 OR sum(bytes) <> 0 ORDER BY owner_id
    LOOP
        PERFORM {inner}.count_for_owner(c.owner_id, c.files, c.bytes);
    END LOOP;
    UPDATE {schema}.storage_segments s SET version = a.version FROM vanished v JOIN appeared a ON a.id = v.id
        WHERE s.version = v.version AND a.version <> v.version
        AND (a.bucket_id, a.path) <> (v.bucket_id, v.path);
    INSERT INTO {schema}.storage_object_versions (bucket_id, path, id, size, content_type, cache_control,
            checksum, etag, owner_id, metadata, version, created_at, updated_at, extra, versioned)
        SELECT v.bucket_id, v.path, v.id, v.size, v.content_type, v.cache_control, v.checksum, v.etag,
            v.owner_id, v.metadata, v.version, v.created_at, v.updated_at, v.extra, v.versioned
        FROM vanished v JOIN appeared a ON a.id = v.id WHERE (v.versioned OR a.versioned)
        AND a.version <> v.version AND (a.bucket_id, a.path) = (v.bucket_id, v.path);
    PERFORM {inner}.discard_bytes(ARRAY(SELECT v.version FROM vanished v JOIN appeared a ON a.id = v.id
        WHERE a.version <> v.version AND (a.bucket_id, a.path) = (v.bucket_id, v.path)
        AND NOT (v.versioned OR a.versioned)));
    INSERT INTO {schema}.storage_events (kind, bucket_id, path, owner_id, payload)
        SELECT CASE WHEN moved THEN 'storage.object.moved' ELSE 'storage.object.updated' END,
            a.bucket_id, a.path, a.owner_id,
            {inner}.told(a.id, a.version, a.size, a.content_type, a.etag) || CASE WHEN moved
                THEN jsonb_build_object('from_bucket', v.bucket_id, 'from_path', v.path) ELSE '{}' END
        FROM vanished v JOIN appeared a ON a.id = v.id,
            LATERAL (SELECT (a.bucket_id, a.path) <> (v.bucket_id, v.path) AS moved) m;
    RETURN NULL;
END
$$;

DROP FUNCTION {inner}.forget_null(text, text);

-- What of the null versions under deleted objects is the deleter's to delete, goes with them. It asks as the deleter, before
-- `objects_vanished` keeps the rest: triggers come by their names.
CREATE FUNCTION {inner}.null_versions_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'aerostore_keeper' AND coalesce(current_setting('aerostore.for_good', true), '') <> 'on'
        AND EXISTS (SELECT 1 FROM vanished v WHERE {schema}.versioning(v.bucket_id) = 'suspended')
    THEN
        PERFORM {schema}.let_null_go(v.bucket_id, v.path) FROM vanished v;
    END IF;
    RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION {inner}.hides(text), {inner}.at_work(text), {inner}.keep_null(text, text),
    {inner}.null_versions_go() FROM PUBLIC;
RESET ROLE;

-- Where the bucket keeps no more versions, the null version among the versions at a path goes, if the caller may delete it; a
-- policy that fails lets nothing go.
CREATE FUNCTION {schema}.let_null_go(bucket text, place text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM {schema}.storage_object_versions v WHERE v.bucket_id = bucket AND v.path = place AND NOT v.versioned
        AND {schema}.versioning(bucket) = 'suspended';
EXCEPTION WHEN data_exception THEN
    RETURN;
END
$$;
REVOKE ALL ON FUNCTION {schema}.let_null_go(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.let_null_go(text, text) TO anon, authenticated, service_role;

CREATE TRIGGER null_versions_go AFTER DELETE ON {schema}.storage_objects
    REFERENCING OLD TABLE AS vanished FOR EACH STATEMENT EXECUTE FUNCTION {inner}.null_versions_go();
