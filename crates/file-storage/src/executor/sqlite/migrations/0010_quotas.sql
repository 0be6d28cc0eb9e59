-- Quotas of folders and of everything, beside those that stand in the rows of buckets and users. A folder is counted while it
-- has a quota, and everything while there is one for it: what has none costs a write one look.

CREATE TABLE storage_folder_quotas (
    bucket_id   TEXT    NOT NULL REFERENCES storage_buckets (id) ON DELETE CASCADE,
    prefix      TEXT    NOT NULL CHECK (length(prefix) >= 2),
    quota_bytes INTEGER NOT NULL CHECK (quota_bytes >= 0),
    used_bytes  INTEGER NOT NULL CHECK (used_bytes >= 0),
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (bucket_id, prefix)
) STRICT, WITHOUT ROWID;

-- One row, or none: what the configuration says of quotas, the quota of everything, and what is in use of it.
CREATE TABLE storage_quota_settings (
    id                      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    enforcement             TEXT    NOT NULL DEFAULT 'enforce' CHECK (enforcement IN ('enforce', 'warn', 'off')),
    default_user_bytes      INTEGER CHECK (default_user_bytes >= 0),
    configured_global_bytes INTEGER CHECK (configured_global_bytes >= 0),
    global_bytes            INTEGER CHECK (global_bytes >= 0),
    global_used_bytes       INTEGER CHECK (global_used_bytes >= 0)
) STRICT;

-- What an operation has changed so far of what quotas are held to. Empty when it ends: only then is it known what it adds.
CREATE TABLE quota_changes (
    scope     TEXT    NOT NULL CHECK (scope IN ('user', 'bucket', 'folder', 'global')),
    name      TEXT    NOT NULL,
    bucket_id TEXT    NOT NULL,
    bytes     INTEGER NOT NULL
) STRICT;

-- Bytes that come to a path, or go. What is inserted here is written down for each quota over the path.
CREATE VIEW counted_bytes AS SELECT '' AS bucket_id, '' AS path, 0 AS bytes WHERE false;

CREATE TRIGGER bytes_are_counted INSTEAD OF INSERT ON counted_bytes
BEGIN
    INSERT INTO quota_changes (scope, name, bucket_id, bytes)
        SELECT 'folder', q.prefix, q.bucket_id, NEW.bytes FROM storage_folder_quotas q
        WHERE q.bucket_id = NEW.bucket_id AND substr(NEW.path, 1, length(q.prefix)) = q.prefix
        UNION ALL
        SELECT 'global', '', NEW.bucket_id, NEW.bytes FROM storage_quota_settings
        WHERE global_used_bytes IS NOT NULL;
END;

CREATE TRIGGER object_comes AFTER INSERT ON storage_objects WHEN NEW.size > 0
BEGIN
    INSERT INTO counted_bytes VALUES (NEW.bucket_id, NEW.path, NEW.size);
END;

CREATE TRIGGER object_goes AFTER DELETE ON storage_objects WHEN OLD.size > 0
BEGIN
    INSERT INTO counted_bytes VALUES (OLD.bucket_id, OLD.path, -OLD.size);
END;

CREATE TRIGGER object_changes AFTER UPDATE OF size, bucket_id, path ON storage_objects
BEGIN
    INSERT INTO counted_bytes VALUES (OLD.bucket_id, OLD.path, -OLD.size);
    INSERT INTO counted_bytes VALUES (NEW.bucket_id, NEW.path, NEW.size);
END;

CREATE TRIGGER version_comes AFTER INSERT ON storage_object_versions WHEN NEW.is_delete_marker = 0 AND NEW.size > 0
BEGIN
    INSERT INTO counted_bytes VALUES (NEW.bucket_id, NEW.path, NEW.size);
END;

CREATE TRIGGER version_goes AFTER DELETE ON storage_object_versions WHEN OLD.is_delete_marker = 0 AND OLD.size > 0
BEGIN
    INSERT INTO counted_bytes VALUES (OLD.bucket_id, OLD.path, -OLD.size);
END;

CREATE TRIGGER upload_holds AFTER UPDATE OF held_bytes ON multipart_uploads WHEN NEW.held_bytes <> OLD.held_bytes
BEGIN
    INSERT INTO counted_bytes VALUES (NEW.bucket_id, NEW.path, NEW.held_bytes - OLD.held_bytes);
END;

CREATE TRIGGER upload_goes AFTER DELETE ON multipart_uploads WHEN OLD.held_bytes > 0
BEGIN
    INSERT INTO counted_bytes VALUES (OLD.bucket_id, OLD.path, -OLD.held_bytes);
END;
