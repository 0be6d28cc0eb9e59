DROP TRIGGER quotas_hold ON {schema}.quota_changes;
DROP TRIGGER upload_bytes_go ON {schema}.multipart_uploads;
DROP TRIGGER upload_bytes_change ON {schema}.multipart_uploads;
DROP TRIGGER version_bytes_go ON {schema}.storage_object_versions;
DROP TRIGGER version_bytes_come ON {schema}.storage_object_versions;
DROP TRIGGER object_bytes_go ON {schema}.storage_objects;
DROP TRIGGER object_bytes_change ON {schema}.storage_objects;
DROP TRIGGER object_bytes_come ON {schema}.storage_objects;

SET LOCAL ROLE aerostore_keeper;
CREATE OR REPLACE FUNCTION {inner}.hold_quota(scope text, total bigint, quota bigint, more bigint)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF quota IS NOT NULL AND more > 0 AND total > quota THEN
        RAISE EXCEPTION 'the % quota is exceeded', scope USING ERRCODE = 'AEQ01', DETAIL =
            json_build_object('scope', scope, 'used', greatest(total - more, 0), 'limit', quota, 'requested', more);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION {inner}.count_in_bucket(bucket text, files bigint, bytes bigint)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    total bigint;
    quota bigint;
BEGIN
    UPDATE {schema}.storage_buckets SET file_count = file_count + files, total_bytes = total_bytes + bytes
        WHERE id = bucket RETURNING total_bytes + unfinished_bytes, quota_bytes INTO total, quota;
    PERFORM {inner}.hold_quota('bucket', total, quota, bytes);
END
$$;

CREATE OR REPLACE FUNCTION {inner}.count_for_owner(owner uuid, files bigint, bytes bigint)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    total bigint;
    quota bigint;
BEGIN
    UPDATE {schema}.storage_usage SET file_count = file_count + files, total_bytes = total_bytes + bytes,
        updated_at = now() WHERE user_id = owner
        RETURNING total_bytes + unfinished_bytes, quota_bytes INTO total, quota;
    IF NOT FOUND THEN
        INSERT INTO {schema}.storage_usage AS u (user_id, file_count, total_bytes, last_calculated_at)
            VALUES (owner, files, bytes, now())
            ON CONFLICT (user_id) DO UPDATE SET file_count = u.file_count + files,
                total_bytes = u.total_bytes + bytes, updated_at = now()
            RETURNING u.total_bytes + u.unfinished_bytes, u.quota_bytes INTO total, quota;
    END IF;
    PERFORM {inner}.hold_quota('user', total, quota, bytes);
END
$$;

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
    PERFORM {inner}.hold_quota('bucket', total, quota, bytes);
    IF owner IS NOT NULL THEN
        INSERT INTO {schema}.storage_usage (user_id, last_calculated_at) VALUES (owner, now())
            ON CONFLICT (user_id) DO NOTHING;
        UPDATE {schema}.storage_usage SET unfinished_bytes = unfinished_bytes + bytes, updated_at = now()
            WHERE user_id = owner RETURNING total_bytes + unfinished_bytes, quota_bytes INTO total, quota;
        PERFORM {inner}.hold_quota('user', total, quota, bytes);
    END IF;
END
$$;

DROP FUNCTION {inner}.quotas_hold(), {inner}.upload_bytes(), {inner}.version_bytes(), {inner}.object_bytes(),
    {inner}.quotas_over(text, text), {inner}.counts_more(),
    {inner}.hold_and_note(text, text, text, bigint, bigint, bigint), {inner}.quota_step(bigint, bigint),
    {inner}.quota_enforcement();
RESET ROLE;

DROP TABLE {schema}.quota_changes;
DROP TABLE {schema}.storage_quota_settings;
DROP TABLE {schema}.storage_folder_quotas;
