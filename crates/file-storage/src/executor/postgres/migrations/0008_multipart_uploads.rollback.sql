-- Unfinished uploads are given up; the orphan job finds their blobs. The earlier version demands a checksum of every object.
SET LOCAL ROLE aerostore_keeper;
DROP FUNCTION {inner}.link_parts(uuid, uuid[]);
DROP FUNCTION {inner}.discard_upload(uuid);
DROP FUNCTION {inner}.discard_parts(uuid, integer[]);
DROP FUNCTION {inner}.count_unfinished(uuid, bigint);

-- Counts objects and bytes that came to a bucket, or went.
CREATE OR REPLACE FUNCTION {inner}.count_in_bucket(bucket text, files bigint, bytes bigint)
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
CREATE OR REPLACE FUNCTION {inner}.count_for_owner(owner uuid, files bigint, bytes bigint)
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
RESET ROLE;

ALTER TABLE {schema}.storage_objects DISABLE TRIGGER objects_changed;
SET LOCAL ROLE aerostore_keeper;
UPDATE {schema}.storage_objects SET checksum = repeat('0', 64) WHERE checksum IS NULL;
RESET ROLE;
ALTER TABLE {schema}.storage_objects ENABLE TRIGGER objects_changed;
ALTER TABLE {schema}.storage_objects ALTER COLUMN checksum SET NOT NULL;
ALTER TABLE {schema}.storage_usage DROP COLUMN unfinished_bytes;
ALTER TABLE {schema}.storage_buckets DROP COLUMN unfinished_bytes;
DROP TABLE {schema}.resumable_uploads;
DROP TABLE {schema}.multipart_parts;
DROP TABLE {schema}.multipart_uploads;
