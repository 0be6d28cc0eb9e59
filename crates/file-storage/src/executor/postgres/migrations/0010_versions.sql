-- Versions: what was overwritten and deleted, where a bucket keeps it. The newest at a path is the row of storage_objects,
-- or a delete marker here; the others are here, in the order in which they were it.

ALTER TABLE {schema}.storage_buckets ADD COLUMN versioning text NOT NULL DEFAULT 'off'
    CHECK (versioning IN ('off', 'enabled', 'suspended'));
GRANT INSERT (versioning), UPDATE (versioning) ON {schema}.storage_buckets TO authenticated, service_role;

-- Whether it is a version of its own: what is none is the null version, of which a path has one.
ALTER TABLE {schema}.storage_objects ADD COLUMN versioned boolean NOT NULL DEFAULT false;
GRANT UPDATE (versioned) ON {schema}.storage_objects TO anon, authenticated, service_role;

CREATE TABLE {schema}.storage_object_versions (
    sequence         bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bucket_id        text COLLATE "C" NOT NULL REFERENCES {schema}.storage_buckets (id),
    path             text COLLATE "C" NOT NULL CHECK (octet_length(path) BETWEEN 1 AND 1024),
    id               uuid             NOT NULL,
    size             bigint           NOT NULL CHECK (size >= 0),
    content_type     text             NOT NULL,
    cache_control    text,
    checksum         text                      CHECK (length(checksum) = 64),
    etag             text             NOT NULL,
    owner_id         uuid,
    metadata         jsonb            NOT NULL DEFAULT '{}',
    version          uuid             NOT NULL UNIQUE,
    created_at       timestamptz      NOT NULL DEFAULT now(),
    updated_at       timestamptz      NOT NULL DEFAULT now(),
    extra            jsonb                     CHECK (jsonb_typeof(extra) = 'object'),
    versioned        boolean          NOT NULL,
    is_delete_marker boolean          NOT NULL DEFAULT false,
    noncurrent_at    timestamptz      NOT NULL DEFAULT now(),
    CHECK (NOT is_delete_marker OR size = 0)
);

CREATE UNIQUE INDEX storage_object_versions_by_age
    ON {schema}.storage_object_versions (bucket_id, path, sequence DESC);
CREATE UNIQUE INDEX storage_object_versions_null
    ON {schema}.storage_object_versions (bucket_id, path) WHERE NOT versioned;

-- A version is seen, tagged and deleted by whom its row lets, as an object is. Only the keeper makes one.
ALTER TABLE {schema}.storage_object_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.storage_object_versions FORCE ROW LEVEL SECURITY;
GRANT ALL ON {schema}.storage_object_versions TO aerostore_keeper;
GRANT SELECT, DELETE, UPDATE (extra) ON {schema}.storage_object_versions TO anon, authenticated, service_role;
CREATE POLICY "~aerostore_keeper" ON {schema}.storage_object_versions TO aerostore_keeper USING (true);
CREATE POLICY "~aerostore_service" ON {schema}.storage_object_versions TO service_role USING (true);
CREATE POLICY "~aerostore_object_to_somebody" ON {schema}.storage_object_versions AS RESTRICTIVE
    TO anon, authenticated USING ((SELECT {schema}.role() = current_user));
CREATE POLICY "~aerostore_object_read_anon" ON {schema}.storage_object_versions FOR SELECT TO anon
    USING (current_user = 'anon' AND (
        SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id AND b.policy = 'public'));
CREATE POLICY "~aerostore_object_read" ON {schema}.storage_object_versions FOR SELECT TO authenticated
    USING (current_user = 'authenticated'
        AND (owner_id = (SELECT {schema}.current_user_id()) OR (
            SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id
            AND (b.policy IN ('public', 'authenticated') OR b.owner_id = (SELECT {schema}.current_user_id())))));
CREATE POLICY "~aerostore_object_overwrite" ON {schema}.storage_object_versions FOR UPDATE TO authenticated
    USING (current_user = 'authenticated'
        AND (owner_id = (SELECT {schema}.current_user_id()) OR (
            SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id
            AND (b.policy = 'authenticated' OR b.owner_id = (SELECT {schema}.current_user_id())))));
CREATE POLICY "~aerostore_object_delete" ON {schema}.storage_object_versions FOR DELETE TO authenticated
    USING (current_user = 'authenticated'
        AND (owner_id = (SELECT {schema}.current_user_id()) OR (
            SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id
            AND b.owner_id = (SELECT {schema}.current_user_id()))));

-- People's policies, which speak of versions as of objects, are put on this table by 0012.

-- Segments are of an object or of a version, and stay where they are when the one becomes the other.
ALTER TABLE {schema}.storage_segments DROP CONSTRAINT storage_segments_version_fkey;
ALTER POLICY segment_read ON {schema}.storage_segments
    USING ((SELECT true FROM {schema}.storage_objects o WHERE o.version = storage_segments.version)
        OR (SELECT true FROM {schema}.storage_object_versions v WHERE v.version = storage_segments.version));

SET LOCAL ROLE aerostore_keeper;

CREATE VIEW {inner}.bucket_versioning AS SELECT id, versioning FROM {schema}.storage_buckets;
GRANT SELECT ON {inner}.bucket_versioning TO anon, authenticated, service_role;

-- A segment is of a version that is there, at the end of the transaction that made it, unless it is gone again.
CREATE FUNCTION {inner}.segment_has_version() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM {schema}.storage_objects o WHERE o.version = NEW.version)
        OR EXISTS (SELECT 1 FROM {schema}.storage_object_versions v WHERE v.version = NEW.version)
        OR NOT EXISTS (SELECT 1 FROM {schema}.storage_segments s
            WHERE s.version = NEW.version AND s.ordinal = NEW.ordinal)
    THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'the segment is of no version' USING ERRCODE = 'foreign_key_violation';
END
$$;

-- Makes room for the null version that is about to be written: the one among the versions goes.
CREATE FUNCTION {inner}.forget_null(bucket text, place text) RETURNS void LANGUAGE sql AS $$
    DELETE FROM {schema}.storage_object_versions v
        WHERE v.bucket_id = bucket AND v.path = place AND NOT v.versioned;
$$;

-- Makes the newest version at a path the object, where there is none and it is no delete marker.
CREATE FUNCTION {inner}.promote(bucket text, place text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    top {schema}.storage_object_versions;
BEGIN
    IF EXISTS (SELECT 1 FROM {schema}.storage_objects o WHERE o.bucket_id = bucket AND o.path = place) THEN
        RETURN;
    END IF;
    SELECT v.* INTO top FROM {schema}.storage_object_versions v WHERE v.bucket_id = bucket AND v.path = place
        ORDER BY v.sequence DESC LIMIT 1 FOR UPDATE;
    IF NOT FOUND OR top.is_delete_marker THEN
        RETURN;
    END IF;
    PERFORM set_config('aerostore.promoting', 'on', true);
    DELETE FROM {schema}.storage_object_versions v WHERE v.sequence = top.sequence;
    INSERT INTO {schema}.storage_objects (id, bucket_id, path, size, content_type, cache_control, checksum, etag,
            owner_id, metadata, version, created_at, updated_at, extra, versioned)
        VALUES (top.id, top.bucket_id, top.path, top.size, top.content_type, top.cache_control, top.checksum,
            top.etag, top.owner_id, top.metadata, top.version, top.created_at, top.updated_at, top.extra,
            top.versioned);
    PERFORM set_config('aerostore.promoting', '', true);
END
$$;

-- Puts a delete marker where no object is; says whether it did, and whether it is a version of its own.
CREATE FUNCTION {inner}.mark(bucket text, place text, marker uuid, owner uuid)
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
CREATE FUNCTION {inner}.versions_vanished() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
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

REVOKE ALL ON FUNCTION {inner}.segment_has_version(), {inner}.forget_null(text, text), {inner}.promote(text, text),
    {inner}.mark(text, text, uuid, uuid), {inner}.versions_vanished() FROM PUBLIC;
RESET ROLE;

CREATE CONSTRAINT TRIGGER segment_has_version AFTER INSERT ON {schema}.storage_segments
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {inner}.segment_has_version();
CREATE TRIGGER versions_vanished AFTER DELETE ON {schema}.storage_object_versions
    REFERENCING OLD TABLE AS vanished FOR EACH STATEMENT EXECUTE FUNCTION {inner}.versions_vanished();
DROP TRIGGER bucket_changed ON {schema}.storage_buckets;
CREATE TRIGGER bucket_changed AFTER UPDATE OF policy, allowed_mime_types, max_file_size, quota_bytes, versioning
    ON {schema}.storage_buckets FOR EACH ROW EXECUTE FUNCTION {inner}.bucket_changed();

-- Whether a bucket keeps versions: told to who has just deleted something in it.
CREATE FUNCTION {schema}.versioning(bucket text) RETURNS text LANGUAGE sql STABLE
    RETURN (SELECT b.versioning FROM {inner}.bucket_versioning b WHERE b.id = bucket);
