-- Quotas of folders and of everything, beside those that stand in the rows of buckets and users. A folder is counted while it
-- has a quota, and everything while there is one for it: what has none costs a write one look.

CREATE TABLE {schema}.storage_folder_quotas (
    bucket_id   text COLLATE "C" NOT NULL REFERENCES {schema}.storage_buckets (id) ON DELETE CASCADE,
    prefix      text COLLATE "C" NOT NULL CHECK (length(prefix) >= 2),
    quota_bytes bigint           NOT NULL CHECK (quota_bytes >= 0),
    used_bytes  bigint           NOT NULL CHECK (used_bytes >= 0),
    created_at  timestamptz      NOT NULL DEFAULT now(),
    updated_at  timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (bucket_id, prefix)
) WITH (fillfactor = 50);

-- One row, or none: what the configuration says of quotas, the quota of everything, and what is in use of it.
CREATE TABLE {schema}.storage_quota_settings (
    id                      integer NOT NULL PRIMARY KEY CHECK (id = 1),
    enforcement             text    NOT NULL DEFAULT 'enforce' CHECK (enforcement IN ('enforce', 'warn', 'off')),
    default_user_bytes      bigint  CHECK (default_user_bytes >= 0),
    configured_global_bytes bigint  CHECK (configured_global_bytes >= 0),
    global_bytes            bigint  CHECK (global_bytes >= 0),
    global_used_bytes       bigint  CHECK (global_used_bytes >= 0)
) WITH (fillfactor = 10);

-- What a transaction has changed so far of what quotas are held to. Empty when it ends: only then is it known what it adds.
-- No other transaction ever sees a row of it, so that none need survive a crash.
CREATE UNLOGGED TABLE {schema}.quota_changes (
    scope     text             NOT NULL CHECK (scope IN ('user', 'bucket', 'folder', 'global')),
    name      text COLLATE "C" NOT NULL,
    bucket_id text COLLATE "C" NOT NULL,
    bytes     bigint           NOT NULL,
    made_by   xid8             NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX quota_changes_by_maker ON {schema}.quota_changes (made_by);

DO $$
DECLARE
    one text;
BEGIN
    FOREACH one IN ARRAY ARRAY['storage_folder_quotas', 'storage_quota_settings', 'quota_changes'] LOOP
        EXECUTE format('ALTER TABLE {schema}.%I ENABLE ROW LEVEL SECURITY', one);
        EXECUTE format('ALTER TABLE {schema}.%I FORCE ROW LEVEL SECURITY', one);
        EXECUTE format('CREATE POLICY keeper ON {schema}.%I TO aerostore_keeper USING (true)', one);
        EXECUTE format('GRANT ALL ON {schema}.%I TO aerostore_keeper', one);
    END LOOP;
END
$$;

SET LOCAL ROLE aerostore_keeper;

-- What is done about a write that does not fit.
CREATE FUNCTION {inner}.quota_enforcement() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT enforcement FROM {schema}.storage_quota_settings), 'enforce');
$$;

-- Refuses to go over a quota. The message is for people, the detail for the server.
CREATE OR REPLACE FUNCTION {inner}.hold_quota(scope text, total bigint, quota bigint, more bigint)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF quota IS NOT NULL AND more > 0 AND total > quota AND {inner}.quota_enforcement() = 'enforce' THEN
        RAISE EXCEPTION 'the % quota is exceeded', scope USING ERRCODE = 'AEQ01', DETAIL =
            json_build_object('scope', scope, 'used', greatest(total - more, 0), 'limit', quota, 'requested', more);
    END IF;
END
$$;

-- Which step towards a quota is reached, in percent: 80, 95, or 100 where it is passed.
CREATE FUNCTION {inner}.quota_step(total bigint, quota bigint) RETURNS integer LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN total > quota THEN 100
        WHEN total::numeric * 100 >= quota::numeric * 95 THEN 95
        WHEN total::numeric * 100 >= quota::numeric * 80 THEN 80 ELSE 0 END;

-- Holds to the quota of a user or bucket, and writes down what may be a step towards it: what comes above the first one, and
-- what goes.
CREATE FUNCTION {inner}.hold_and_note(scope text, name text, bucket text, total bigint, quota bigint, more bigint)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF quota IS NULL OR more = 0 THEN
        RETURN;
    END IF;
    PERFORM {inner}.hold_quota(scope, total, quota, more);
    IF more < 0 OR {inner}.quota_step(total, quota) > 0 THEN
        INSERT INTO {schema}.quota_changes (scope, name, bucket_id, bytes) VALUES (scope, name, bucket, more);
    END IF;
END
$$;

-- Counts objects and bytes that came to a bucket, or went.
CREATE OR REPLACE FUNCTION {inner}.count_in_bucket(bucket text, files bigint, bytes bigint)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    total bigint;
    quota bigint;
BEGIN
    UPDATE {schema}.storage_buckets SET file_count = file_count + files, total_bytes = total_bytes + bytes
        WHERE id = bucket RETURNING total_bytes + unfinished_bytes, quota_bytes INTO total, quota;
    -- Users are counted after buckets: what is told of them says where.
    PERFORM set_config('aerostore.counted_bucket', bucket, true);
    PERFORM {inner}.hold_and_note('bucket', bucket, bucket, total, quota, bytes);
END
$$;

-- Counts objects and bytes that came to a user, or went.
CREATE OR REPLACE FUNCTION {inner}.count_for_owner(owner uuid, files bigint, bytes bigint)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    total bigint;
    quota bigint;
BEGIN
    UPDATE {schema}.storage_usage SET file_count = file_count + files, total_bytes = total_bytes + bytes,
        updated_at = now() WHERE user_id = owner
        RETURNING total_bytes + unfinished_bytes,
            coalesce(quota_bytes, (SELECT default_user_bytes FROM {schema}.storage_quota_settings)) INTO total, quota;
    IF NOT FOUND THEN
        INSERT INTO {schema}.storage_usage AS u (user_id, file_count, total_bytes, last_calculated_at)
            VALUES (owner, files, bytes, now())
            ON CONFLICT (user_id) DO UPDATE SET file_count = u.file_count + files,
                total_bytes = u.total_bytes + bytes, updated_at = now()
            RETURNING u.total_bytes + u.unfinished_bytes,
                coalesce(u.quota_bytes, (SELECT default_user_bytes FROM {schema}.storage_quota_settings))
                INTO total, quota;
    END IF;
    PERFORM {inner}.hold_and_note('user', owner::text, coalesce(current_setting('aerostore.counted_bucket', true), ''),
        total, quota, bytes);
END
$$;

-- Counts bytes that came to an unfinished upload, or went.
CREATE OR REPLACE FUNCTION {inner}.count_unfinished(upload uuid, bytes bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    bucket text;
    owner uuid;
    total bigint;
    quota bigint;
BEGIN
    IF bytes = 0 THEN
        RETURN;
    END IF;
    UPDATE {schema}.multipart_uploads u SET held_bytes = held_bytes + bytes WHERE u.id = upload
        RETURNING u.bucket_id, u.owner_id INTO bucket, owner;
    UPDATE {schema}.storage_buckets b SET unfinished_bytes = unfinished_bytes + bytes WHERE b.id = bucket
        RETURNING total_bytes + unfinished_bytes, quota_bytes INTO total, quota;
    PERFORM {inner}.hold_and_note('bucket', bucket, bucket, total, quota, bytes);
    IF owner IS NOT NULL THEN
        INSERT INTO {schema}.storage_usage (user_id, last_calculated_at) VALUES (owner, now())
            ON CONFLICT (user_id) DO NOTHING;
        UPDATE {schema}.storage_usage SET unfinished_bytes = unfinished_bytes + bytes, updated_at = now()
            WHERE user_id = owner
            RETURNING total_bytes + unfinished_bytes,
                coalesce(quota_bytes, (SELECT default_user_bytes FROM {schema}.storage_quota_settings))
                INTO total, quota;
        PERFORM {inner}.hold_and_note('user', owner::text, bucket, total, quota, bytes);
    END IF;
END
$$;

-- Whether anything is counted beside buckets and users.
CREATE FUNCTION {inner}.counts_more() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM {schema}.storage_folder_quotas)
        OR EXISTS (SELECT 1 FROM {schema}.storage_quota_settings WHERE global_used_bytes IS NOT NULL);
END
$$;

-- The quotas over a path, but for those of its bucket and its owner.
CREATE FUNCTION {inner}.quotas_over(bucket text, place text) RETURNS TABLE (scope text, name text)
    LANGUAGE sql STABLE AS $$
    SELECT 'folder', q.prefix FROM {schema}.storage_folder_quotas q
        WHERE q.bucket_id = bucket AND starts_with(place, q.prefix)
    UNION ALL
    SELECT 'global', '' FROM {schema}.storage_quota_settings WHERE global_used_bytes IS NOT NULL
$$;

CREATE FUNCTION {inner}.object_bytes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT {inner}.counts_more() THEN
        RETURN NULL;
    END IF;
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        INSERT INTO {schema}.quota_changes (scope, name, bucket_id, bytes)
            SELECT q.scope, q.name, a.bucket_id, sum(a.size)::bigint
            FROM appeared a, {inner}.quotas_over(a.bucket_id, a.path) q WHERE a.size > 0
            GROUP BY q.scope, q.name, a.bucket_id;
    END IF;
    IF TG_OP IN ('DELETE', 'UPDATE') THEN
        INSERT INTO {schema}.quota_changes (scope, name, bucket_id, bytes)
            SELECT q.scope, q.name, v.bucket_id, -sum(v.size)::bigint
            FROM vanished v, {inner}.quotas_over(v.bucket_id, v.path) q WHERE v.size > 0
            GROUP BY q.scope, q.name, v.bucket_id;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION {inner}.version_bytes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT {inner}.counts_more() THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        INSERT INTO {schema}.quota_changes (scope, name, bucket_id, bytes)
            SELECT q.scope, q.name, a.bucket_id, sum(a.size)::bigint
            FROM appeared a, {inner}.quotas_over(a.bucket_id, a.path) q WHERE a.size > 0 AND NOT a.is_delete_marker
            GROUP BY q.scope, q.name, a.bucket_id;
    ELSE
        INSERT INTO {schema}.quota_changes (scope, name, bucket_id, bytes)
            SELECT q.scope, q.name, v.bucket_id, -sum(v.size)::bigint
            FROM vanished v, {inner}.quotas_over(v.bucket_id, v.path) q WHERE v.size > 0 AND NOT v.is_delete_marker
            GROUP BY q.scope, q.name, v.bucket_id;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION {inner}.upload_bytes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    more bigint := CASE WHEN TG_OP = 'DELETE' THEN -OLD.held_bytes ELSE NEW.held_bytes - OLD.held_bytes END;
BEGIN
    IF {inner}.counts_more() THEN
        INSERT INTO {schema}.quota_changes (scope, name, bucket_id, bytes)
            SELECT q.scope, q.name, OLD.bucket_id, more FROM {inner}.quotas_over(OLD.bucket_id, OLD.path) q;
    END IF;
    RETURN NULL;
END
$$;

-- At the end of a transaction, what it has changed in sum: counted for folders and for everything, held to their quotas, and
-- told of where it came to a step towards one. These counters are the last that a transaction locks, folders by name and then
-- everything, so that writers don't block each other for good; and they are locked for as long as a commit takes.
CREATE FUNCTION {inner}.quotas_hold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c record;
    total bigint;
    quota bigint;
    owner uuid;
BEGIN
    FOR c IN WITH gone AS (DELETE FROM {schema}.quota_changes WHERE made_by = pg_current_xact_id()
            RETURNING quota_changes.scope, quota_changes.name, quota_changes.bucket_id, quota_changes.bytes)
        SELECT scope, name, min(bucket_id) AS bucket_id, sum(bytes)::bigint AS bytes FROM gone
        GROUP BY scope, name, CASE WHEN scope = 'folder' THEN bucket_id END HAVING sum(bytes) <> 0
        ORDER BY scope = 'global', scope = 'folder', min(bucket_id), name
    LOOP
        total := NULL;
        quota := NULL;
        owner := NULL;
        CASE c.scope
            WHEN 'folder' THEN
                UPDATE {schema}.storage_folder_quotas q SET used_bytes = q.used_bytes + c.bytes
                    WHERE q.bucket_id = c.bucket_id AND q.prefix = c.name
                    RETURNING q.used_bytes, q.quota_bytes INTO total, quota;
                PERFORM {inner}.hold_quota('folder', total, quota, c.bytes);
            WHEN 'global' THEN
                UPDATE {schema}.storage_quota_settings s SET global_used_bytes = s.global_used_bytes + c.bytes
                    WHERE s.global_used_bytes IS NOT NULL
                    RETURNING s.global_used_bytes, coalesce(s.global_bytes, s.configured_global_bytes)
                    INTO total, quota;
                PERFORM {inner}.hold_quota('global', total, quota, c.bytes);
            WHEN 'bucket' THEN
                SELECT b.total_bytes + b.unfinished_bytes, b.quota_bytes INTO total, quota
                    FROM {schema}.storage_buckets b WHERE b.id = c.bucket_id;
            ELSE
                SELECT u.user_id, u.total_bytes + u.unfinished_bytes, coalesce(u.quota_bytes,
                        (SELECT default_user_bytes FROM {schema}.storage_quota_settings)) INTO owner, total, quota
                    FROM {schema}.storage_usage u WHERE u.user_id = c.name::uuid;
        END CASE;
        IF c.bytes > 0 AND c.bucket_id <> '' AND quota IS NOT NULL
            AND {inner}.quota_step(total, quota) > {inner}.quota_step(total - c.bytes, quota)
            AND {inner}.quota_enforcement() <> 'off'
        THEN
            INSERT INTO {schema}.storage_events (kind, bucket_id, owner_id, payload)
                VALUES ('storage.quota.warning', c.bucket_id,
                    coalesce(owner, (SELECT b.owner_id FROM {schema}.storage_buckets b
                        WHERE c.scope IN ('bucket', 'folder') AND b.id = c.bucket_id)),
                    jsonb_build_object('scope', c.scope,
                        'name', CASE c.scope WHEN 'folder' THEN c.bucket_id || '/' || rtrim(c.name, '/') ELSE c.name END,
                        'used', total, 'limit', quota, 'percent', {inner}.quota_step(total, quota)));
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION {inner}.quota_enforcement(), {inner}.quota_step(bigint, bigint),
    {inner}.hold_and_note(text, text, text, bigint, bigint, bigint), {inner}.counts_more(),
    {inner}.quotas_over(text, text), {inner}.object_bytes(), {inner}.version_bytes(), {inner}.upload_bytes(),
    {inner}.quotas_hold() FROM PUBLIC;
RESET ROLE;

CREATE TRIGGER object_bytes_come AFTER INSERT ON {schema}.storage_objects
    REFERENCING NEW TABLE AS appeared FOR EACH STATEMENT EXECUTE FUNCTION {inner}.object_bytes();
CREATE TRIGGER object_bytes_change AFTER UPDATE ON {schema}.storage_objects
    REFERENCING OLD TABLE AS vanished NEW TABLE AS appeared FOR EACH STATEMENT EXECUTE FUNCTION {inner}.object_bytes();
CREATE TRIGGER object_bytes_go AFTER DELETE ON {schema}.storage_objects
    REFERENCING OLD TABLE AS vanished FOR EACH STATEMENT EXECUTE FUNCTION {inner}.object_bytes();
CREATE TRIGGER version_bytes_come AFTER INSERT ON {schema}.storage_object_versions
    REFERENCING NEW TABLE AS appeared FOR EACH STATEMENT EXECUTE FUNCTION {inner}.version_bytes();
CREATE TRIGGER version_bytes_go AFTER DELETE ON {schema}.storage_object_versions
    REFERENCING OLD TABLE AS vanished FOR EACH STATEMENT EXECUTE FUNCTION {inner}.version_bytes();
CREATE TRIGGER upload_bytes_change AFTER UPDATE OF held_bytes ON {schema}.multipart_uploads
    FOR EACH ROW WHEN (NEW.held_bytes <> OLD.held_bytes) EXECUTE FUNCTION {inner}.upload_bytes();
CREATE TRIGGER upload_bytes_go AFTER DELETE ON {schema}.multipart_uploads
    FOR EACH ROW WHEN (OLD.held_bytes > 0) EXECUTE FUNCTION {inner}.upload_bytes();
CREATE CONSTRAINT TRIGGER quotas_hold AFTER INSERT ON {schema}.quota_changes
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {inner}.quotas_hold();
