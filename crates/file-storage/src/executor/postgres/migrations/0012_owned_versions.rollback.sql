-- Back to versions that are seen as objects are. What a delete marker carries goes.
DROP TRIGGER null_versions_go ON {schema}.storage_objects;
DROP FUNCTION {schema}.let_null_go(text, text);
DROP POLICY "~aerostore_versions_obey" ON {schema}.storage_object_versions;
DROP FUNCTION {inner}.mirror_policies();
DROP FUNCTION {schema}.versions_obey();
DROP FUNCTION {schema}.policies_to_mirror();
CREATE POLICY "~aerostore_object_read_anon" ON {schema}.storage_object_versions FOR SELECT TO anon
    USING (current_user = 'anon' AND (
        SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id AND b.policy = 'public'));
ALTER POLICY "~aerostore_object_read" ON {schema}.storage_object_versions
    USING (current_user = 'authenticated'
        AND (owner_id = (SELECT {schema}.current_user_id()) OR (
            SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id
            AND (b.policy IN ('public', 'authenticated') OR b.owner_id = (SELECT {schema}.current_user_id())))));

SET LOCAL ROLE aerostore_keeper;
UPDATE {schema}.storage_object_versions SET id = gen_random_uuid(), size = 0, content_type = '', cache_control = NULL,
    checksum = NULL, etag = '', metadata = '{}', created_at = noncurrent_at, updated_at = noncurrent_at
    WHERE is_delete_marker;
-- Makes room for the null version that is about to be written: the one among the versions goes.
CREATE FUNCTION {inner}.forget_null(bucket text, place text) RETURNS void LANGUAGE sql AS $$
    DELETE FROM {schema}.storage_object_versions v
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
        PERFORM {inner}.forget_null(bucket, place);
    END IF;
    INSERT INTO {schema}.storage_object_versions
            (bucket_id, path, id, size, content_type, etag, owner_id, version, versioned, is_delete_marker)
        VALUES (bucket, place, gen_random_uuid(), 0, '', '', owner, marker, state = 'enabled', true);
    RETURN state = 'enabled';
END
$$;

-- What a version that is not current counts for is given back when it goes, and not when it becomes the object.
CREATE OR REPLACE FUNCTION {inner}.versions_vanished() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c record;
BEGIN
    IF current_setting('aerostore.promoting', true) = 'on' THEN
        RETURN NULL;
    END IF;
    FOR c IN SELECT bucket_id, sum(size)::bigint AS bytes FROM vanished
        GROUP BY bucket_id HAVING sum(size) > 0 ORDER BY bucket_id
    LOOP
        PERFORM {inner}.count_in_bucket(c.bucket_id, 0, -c.bytes);
    END LOOP;
    FOR c IN SELECT owner_id, sum(size)::bigint AS bytes FROM vanished
        WHERE owner_id IS NOT NULL GROUP BY owner_id HAVING sum(size) > 0 ORDER BY owner_id
    LOOP
        PERFORM {inner}.count_for_owner(c.owner_id, 0, -c.bytes);
    END LOOP;
    PERFORM {inner}.discard_bytes(ARRAY(SELECT version FROM vanished WHERE NOT is_delete_marker));
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION {inner}.objects_appeared() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c record;
    -- A version that becomes the object is counted already.
    promoting boolean := coalesce(current_setting('aerostore.promoting', true), '') = 'on';
BEGIN
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
-- delete marker takes its place. `aerostore.for_good` says that nothing is kept.
CREATE OR REPLACE FUNCTION {inner}.objects_vanished() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c record;
    reason text := nullif(current_setting('aerostore.reason', true), '');
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
        PERFORM {inner}.forget_null(v.bucket_id, v.path) FROM vanished v
            JOIN {schema}.storage_buckets b ON b.id = v.bucket_id WHERE b.versioning = 'suspended';
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
                (bucket_id, path, id, size, content_type, etag, owner_id, version, versioned, is_delete_marker)
            SELECT v.bucket_id, v.path, gen_random_uuid(), 0, '', '', v.owner_id,
                md5('delete marker of ' || v.version)::uuid, b.versioning = 'enabled', true
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

DROP FUNCTION {inner}.null_versions_go();
DROP FUNCTION {inner}.keep_null(text, text);
DROP FUNCTION {inner}.at_work(text);
DROP FUNCTION {inner}.hides(text);
REVOKE ALL ON FUNCTION {inner}.forget_null(text, text) FROM PUBLIC;
RESET ROLE;

ALTER TABLE {schema}.storage_object_versions ADD CHECK (NOT is_delete_marker OR size = 0);
