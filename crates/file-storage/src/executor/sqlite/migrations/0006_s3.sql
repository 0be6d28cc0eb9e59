-- What S3 keeps beside objects and buckets, and the keys of its clients (SPEC 7). Times are microseconds since 1970 in UTC.

ALTER TABLE storage_objects ADD COLUMN extra TEXT CHECK (json_type(extra) = 'object');
ALTER TABLE storage_buckets ADD COLUMN extra TEXT CHECK (json_type(extra) = 'object');
ALTER TABLE multipart_uploads ADD COLUMN extra TEXT CHECK (json_type(extra) = 'object');

-- The secret is sealed under the server's master key.
CREATE TABLE s3_credentials (
    access_key_id TEXT    NOT NULL PRIMARY KEY CHECK (length(access_key_id) BETWEEN 1 AND 128),
    name          TEXT    NOT NULL,
    role          TEXT    NOT NULL CHECK (role IN ('anon', 'authenticated', 'service_role')),
    user_id       TEXT             CHECK (length(user_id) = 36),
    enabled       INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    sealed_secret TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    last_used_at  INTEGER,
    CHECK (role <> 'authenticated' OR user_id IS NOT NULL)
) STRICT, WITHOUT ROWID;
