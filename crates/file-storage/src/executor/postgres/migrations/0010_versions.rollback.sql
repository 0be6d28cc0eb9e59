-- Old versions go, and their blobs are queued for deletion; what is current stays.
DROP FUNCTION {schema}.versioning(text);
SET LOCAL ROLE aerostore_keeper;
DELETE FROM {schema}.storage_object_versions;
CREATE OR REPLACE FUNCTION {inner}.objects_appeared() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT bucket_id, count(*) AS files, sum(size)::bigint AS bytes FROM appeared
        GROUP BY bucket_id ORDER BY bucket_id
    LOOP
        PERFORM {inner}.count_in_bucket(c.bucket_id, c.files, c.bytes);
    END LOOP;
    FOR c IN SELECT owner_id, count(*) AS files, sum(size)::bigint AS bytes FROM appeared
        WHERE owner_id IS NOT NULL GROUP BY owner_id ORDER BY owner_id
    LOOP
        PERFORM {inner}.count_for_owner(c.owner_id, c.files, c.bytes);
    END LOOP;
    INSERT INTO {schema}.storage_events (kind, bucket_id, path, owner_id, payload)
        SELECT 'storage.object.created', a.bucket_id, a.path, a.owner_id,
            {inner}.told(a.id, a.version, a.size, a.content_type, a.etag) FROM appeared a;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION {inner}.objects_vanished() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c record;
    reason text := nullif(current_setting('aerostore.reason', true), '');
BEGIN
    FOR c IN SELECT bucket_id, count(*) AS files, sum(size)::bigint AS bytes FROM vanished
        GROUP BY bucket_id ORDER BY bucket_id
    LOOP
        PERFORM {inner}.count_in_bucket(c.bucket_id, -c.files, -c.bytes);
    END LOOP;
    FOR c IN SELECT owner_id, count(*) AS files, sum(size)::bigint AS bytes FROM vanished
        WHERE owner_id IS NOT NULL GROUP BY owner_id ORDER BY owner_id
    LOOP
        PERFORM {inner}.count_for_owner(c.owner_id, -c.files, -c.bytes);
    END LOOP;
    PERFORM {inner}.discard_bytes(ARRAY(SELECT version FROM vanished));
    INSERT INTO {schema}.storage_events (kind, bucket_id, path, owner_id, payload)
        SELECT 'storage.object.deleted', v.bucket_id, v.path, v.owner_id,
            {inner}.told(v.id, v.version, v.size, v.content_type, v.etag)
                || CASE WHEN reason IS NULL THEN '{}' ELSE jsonb_build_object('reason', reason) END
        FROM vanished v WHERE reason IS DISTINCT FROM 'replaced' ORDER BY v.bucket_id, v.path;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION {inner}.objects_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT bucket_id, sum(files)::bigint AS files, sum(bytes)::bigint AS bytes FROM (
            SELECT bucket_id, 1 AS files, size AS bytes FROM appeared
            UNION ALL SELECT bucket_id, -1, -size FROM vanished) change
        GROUP BY bucket_id HAVING sum(files) <> 0 OR sum(bytes) <> 0 ORDER BY bucket_id
    LOOP
        PERFORM {inner}.count_in_bucket(c.bucket_id, c.files, c.bytes);
    END LOOP;
    FOR c IN SELECT owner_id, sum(files)::bigint AS files, sum(bytes)::bigint AS bytes FROM (
            SELECT owner_id, 1 AS files, size AS bytes FROM appeared
            UNION ALL SELECT owner_id, -1, -size FROM vanished) change
        WHERE owner_id IS NOT NULL
        GROUP BY owner_id HAVING sum(files) <> 0 OR sum(bytes) <> 0 ORDER BY owner_id
    LOOP
        PERFORM {inner}.count_for_owner(c.owner_id, c.files, c.bytes);
    END LOOP;
    UPDATE {schema}.storage_segments s SET version = a.version FROM vanished v JOIN appeared a ON a.id = v.id
        WHERE s.version = v.version AND a.version <> v.version
        AND (a.bucket_id, a.path) <> (v.bucket_id, v.path);
    PERFORM {inner}.discard_bytes(ARRAY(SELECT v.version FROM vanished v JOIN appeared a ON a.id = v.id
        WHERE a.version <> v.version AND (a.bucket_id, a.path) = (v.bucket_id, v.path)));
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
RESET ROLE;

DROP TRIGGER segment_has_version ON {schema}.storage_segments;
DROP FUNCTION {inner}.segment_has_version();
ALTER POLICY segment_read ON {schema}.storage_segments
    USING ((SELECT true FROM {schema}.storage_objects o WHERE o.version = storage_segments.version));
DROP TABLE {schema}.storage_object_versions;
DROP FUNCTION {inner}.versions_vanished();
DROP FUNCTION {inner}.mark(text, text, uuid, uuid);
DROP FUNCTION {inner}.promote(text, text);
DROP FUNCTION {inner}.forget_null(text, text);
ALTER TABLE {schema}.storage_segments ADD CONSTRAINT storage_segments_version_fkey FOREIGN KEY (version)
    REFERENCES {schema}.storage_objects (version) DEFERRABLE INITIALLY DEFERRED;

DROP TRIGGER bucket_changed ON {schema}.storage_buckets;
CREATE TRIGGER bucket_changed AFTER UPDATE OF policy, allowed_mime_types, max_file_size, quota_bytes
    ON {schema}.storage_buckets FOR EACH ROW EXECUTE FUNCTION {inner}.bucket_changed();
DROP VIEW {inner}.bucket_versioning;
ALTER TABLE {schema}.storage_objects DROP COLUMN versioned;
ALTER TABLE {schema}.storage_buckets DROP COLUMN versioning;
