-- Old versions go, and their blobs are queued for deletion; what is current stays.
DROP TRIGGER version_leaves_no_segment;
DROP TRIGGER object_leaves_no_segment;
DROP TRIGGER segment_has_version;
INSERT INTO blob_deletions (blob_key, provider, size, queued_at)
    SELECT s.blob_key, s.provider, s.size, v.noncurrent_at FROM storage_segments s
    JOIN storage_object_versions v ON v.version = s.version WHERE s.blob_key IS NOT NULL;
DELETE FROM storage_segments WHERE version IN (SELECT version FROM storage_object_versions);
UPDATE storage_buckets SET total_bytes = total_bytes
    - (SELECT coalesce(sum(size), 0) FROM storage_object_versions v WHERE v.bucket_id = storage_buckets.id);
UPDATE storage_usage SET total_bytes = total_bytes
    - (SELECT coalesce(sum(size), 0) FROM storage_object_versions v WHERE v.owner_id = storage_usage.user_id);
DROP TABLE storage_object_versions;
ALTER TABLE storage_objects DROP COLUMN versioned;
ALTER TABLE storage_buckets DROP COLUMN versioning;
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'version  TEXT    NOT NULL,',
    'version  TEXT    NOT NULL REFERENCES storage_objects (version) ON UPDATE CASCADE,')
    WHERE type = 'table' AND name = 'storage_segments';
PRAGMA writable_schema = RESET;
