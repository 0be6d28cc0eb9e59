-- What a delete marker carries goes.
UPDATE storage_object_versions SET size = 0, content_type = '', cache_control = NULL, checksum = NULL, etag = '',
    metadata = '{}', created_at = noncurrent_at, updated_at = noncurrent_at WHERE is_delete_marker = 1;
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'noncurrent_at    INTEGER NOT NULL', 'noncurrent_at    INTEGER NOT NULL,
    CHECK (is_delete_marker = 0 OR size = 0)')
    WHERE type = 'table' AND name = 'storage_object_versions';
PRAGMA writable_schema = RESET;
