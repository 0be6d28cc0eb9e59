-- Uploads in several pieces: what is known of them before they are objects, and the parts that become segments (SPEC 4).

CREATE TABLE multipart_uploads (
    id            TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    bucket_id     TEXT    NOT NULL REFERENCES storage_buckets (id),
    path          TEXT    NOT NULL CHECK (length(path) >= 1),
    role          TEXT    NOT NULL CHECK (role IN ('anon', 'authenticated', 'service_role')),
    owner_id      TEXT             CHECK (length(owner_id) = 36),
    replaces      INTEGER NOT NULL CHECK (replaces IN (0, 1)),
    content_type  TEXT    NOT NULL,
    cache_control TEXT,
    metadata      TEXT    NOT NULL DEFAULT '{}',
    checksum      TEXT,
    held_bytes    INTEGER NOT NULL DEFAULT 0 CHECK (held_bytes >= 0),
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX multipart_uploads_by_path ON multipart_uploads (bucket_id, path, id);
CREATE INDEX multipart_uploads_by_expiry ON multipart_uploads (expires_at);

-- A rowid table, for the same reason as storage_segments.
CREATE TABLE multipart_parts (
    upload_id  TEXT    NOT NULL REFERENCES multipart_uploads (id),
    number     INTEGER NOT NULL CHECK (number >= 1),
    size       INTEGER NOT NULL CHECK (size >= 0),
    sha256     TEXT    NOT NULL CHECK (length(sha256) = 64),
    etag       TEXT    NOT NULL,
    checksums  TEXT    NOT NULL DEFAULT '{}',
    provider   TEXT,
    blob_key   TEXT,
    bytes      BLOB             CHECK (length(bytes) = size),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (upload_id, number),
    CHECK ((bytes IS NULL) = (blob_key IS NOT NULL)),
    CHECK ((provider IS NULL) = (blob_key IS NULL))
) STRICT;

CREATE UNIQUE INDEX multipart_parts_by_blob ON multipart_parts (blob_key) WHERE blob_key IS NOT NULL;

-- What an upload that is appended to has beside that. It outlives its end for a while: a client asks whether it came.
CREATE TABLE resumable_uploads (
    upload_id    TEXT    NOT NULL PRIMARY KEY REFERENCES multipart_uploads (id),
    length       INTEGER          CHECK (length >= 0),
    epoch        INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    is_partial   INTEGER NOT NULL CHECK (is_partial IN (0, 1)),
    told         TEXT    NOT NULL,
    completed_at INTEGER
) STRICT, WITHOUT ROWID;

-- What unfinished uploads hold counts against quotas, beside what objects do.
ALTER TABLE storage_buckets ADD COLUMN unfinished_bytes INTEGER NOT NULL DEFAULT 0 CHECK (unfinished_bytes >= 0);
ALTER TABLE storage_usage ADD COLUMN unfinished_bytes INTEGER NOT NULL DEFAULT 0 CHECK (unfinished_bytes >= 0);

-- The SHA-256 of an object in several segments is not known. A constraint that goes changes no row, and so is taken out of
-- the definition alone, as SQLite's documentation of ALTER TABLE has it.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql,
    'checksum      TEXT    NOT NULL CHECK (length(checksum) = 64)',
    'checksum      TEXT             CHECK (length(checksum) = 64)')
    WHERE type = 'table' AND name = 'storage_objects';
PRAGMA writable_schema = RESET;
