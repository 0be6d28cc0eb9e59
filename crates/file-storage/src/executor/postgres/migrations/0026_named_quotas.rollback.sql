SET LOCAL ROLE aerostore_keeper;

CREATE OR REPLACE FUNCTION {inner}.hold_and_note(scope text, name text, bucket text, total bigint, quota bigint, more bigint)
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

CREATE OR REPLACE FUNCTION {inner}.quotas_hold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
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

DROP FUNCTION {inner}.hold_quota(text, text, bigint, bigint, bigint);
RESET ROLE;
