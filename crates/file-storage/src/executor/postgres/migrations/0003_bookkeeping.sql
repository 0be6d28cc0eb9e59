-- Bookkeeping: counters, quotas, the blobs of versions that are gone, and events follow from the change of rows
-- itself, whoever makes it. The functions are the keeper's, in the schema that no user may enter.
-- Counters are locked in one order, buckets before users and each by name, so that writers don't block each other
-- for good.

SET LOCAL ROLE aerostore_keeper;

-- Refuses to go over a quota. The message is for people, the detail for the server.
CREATE FUNCTION {inner}.hold_quota(scope text, total bigint, quota bigint, more bigint)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF quota IS NOT NULL AND more > 0 AND total > quota THEN
        RAISE EXCEPTION 'the % quota is exceeded', scope USING ERRCODE = 'AEQ01', DETAIL =
            json_build_object('scope', scope, 'used', greatest(total - more, 0), 'limit', quota, 'requested', more);
    END IF;
END
$$;

-- Counts objects and bytes that came to a bucket, or went.
CREATE FUNCTION {inner}.count_in_bucket(bucket text, files bigint, bytes bigint)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    total bigint;
    quota bigint;
BEGIN
    UPDATE {schema}.storage_buckets SET file_count = file_count + files, total_bytes = total_bytes + bytes
        WHERE id = bucket RETURNING total_bytes, quota_bytes INTO total, quota;
    PERFORM {inner}.hold_quota('bucket', total, quota, bytes);
END
$$;

-- Counts objects and bytes that came to a user, or went.
CREATE FUNCTION {inner}.count_for_owner(owner uuid, files bigint, bytes bigint)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    total bigint;
    quota bigint;
BEGIN
    UPDATE {schema}.storage_usage SET file_count = file_count + files, total_bytes = total_bytes + bytes,
        updated_at = now() WHERE user_id = owner RETURNING total_bytes, quota_bytes INTO total, quota;
    IF NOT FOUND THEN
        INSERT INTO {schema}.storage_usage AS u (user_id, file_count, total_bytes, last_calculated_at)
            VALUES (owner, files, bytes, now())
            ON CONFLICT (user_id) DO UPDATE SET file_count = u.file_count + files,
                total_bytes = u.total_bytes + bytes, updated_at = now()
            RETURNING total_bytes, quota_bytes INTO total, quota;
    END IF;
    PERFORM {inner}.hold_quota('user', total, quota, bytes);
END
$$;

-- What an event tells of an object.
CREATE FUNCTION {inner}.told(id uuid, version uuid, size bigint, content_type text, etag text)
    RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN jsonb_build_object('id', id, 'version', version, 'size', size, 'content_type', content_type,
        'etag', etag);

-- Queues the blobs of versions for deletion, and forgets their segments.
CREATE FUNCTION {inner}.discard_bytes(versions uuid[]) RETURNS void LANGUAGE sql AS $$
    WITH gone AS (DELETE FROM {schema}.storage_segments WHERE version = ANY (versions)
        RETURNING blob_key, provider, size)
    INSERT INTO {schema}.blob_deletions (blob_key, provider, size)
        SELECT blob_key, provider, size FROM gone WHERE blob_key IS NOT NULL;
$$;

CREATE FUNCTION {inner}.objects_appeared() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
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

-- `aerostore.reason` says why, where the server itself deletes: no event is told of a row that another replaces.
CREATE FUNCTION {inner}.objects_vanished() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
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

-- A row that has another place was moved, and takes its bytes along; one with another version there was overwritten.
CREATE FUNCTION {inner}.objects_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
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

-- A row that comes from another bucket must be one that its mover may make there. The policy for UPDATE can't say
-- so: it does not see where a row comes from.
CREATE FUNCTION {inner}.object_enters() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM {inner}.bucket_access b WHERE b.id = NEW.bucket_id
        AND {schema}.role() = 'authenticated' AND (b.policy = 'authenticated'
            OR b.owner_id = {schema}.current_user_id()
            OR b.owner_id IS NULL AND NEW.owner_id = {schema}.current_user_id()))
    THEN
        RAISE EXCEPTION 'the row may not be moved to this bucket' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;

CREATE FUNCTION {inner}.bucket_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b {schema}.storage_buckets := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    INSERT INTO {schema}.storage_events (kind, bucket_id, owner_id, payload) VALUES (
        CASE TG_OP WHEN 'INSERT' THEN 'storage.bucket.created' WHEN 'UPDATE' THEN 'storage.bucket.updated'
            ELSE 'storage.bucket.deleted' END,
        b.id, b.owner_id, jsonb_build_object('uuid', b.uuid, 'policy', b.policy));
    RETURN NULL;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {inner} FROM PUBLIC;
RESET ROLE;

CREATE TRIGGER objects_appeared AFTER INSERT ON {schema}.storage_objects
    REFERENCING NEW TABLE AS appeared FOR EACH STATEMENT EXECUTE FUNCTION {inner}.objects_appeared();
CREATE TRIGGER objects_changed AFTER UPDATE ON {schema}.storage_objects
    REFERENCING OLD TABLE AS vanished NEW TABLE AS appeared
    FOR EACH STATEMENT EXECUTE FUNCTION {inner}.objects_changed();
CREATE TRIGGER objects_vanished AFTER DELETE ON {schema}.storage_objects
    REFERENCING OLD TABLE AS vanished FOR EACH STATEMENT EXECUTE FUNCTION {inner}.objects_vanished();
CREATE TRIGGER object_enters BEFORE UPDATE OF bucket_id ON {schema}.storage_objects FOR EACH ROW
    WHEN (NEW.bucket_id <> OLD.bucket_id AND current_user IN ('anon', 'authenticated'))
    EXECUTE FUNCTION {inner}.object_enters();
CREATE TRIGGER bucket_made_or_gone AFTER INSERT OR DELETE ON {schema}.storage_buckets
    FOR EACH ROW EXECUTE FUNCTION {inner}.bucket_changed();
-- Counters are no news.
CREATE TRIGGER bucket_changed AFTER UPDATE OF policy, allowed_mime_types, max_file_size, quota_bytes
    ON {schema}.storage_buckets FOR EACH ROW EXECUTE FUNCTION {inner}.bucket_changed();
