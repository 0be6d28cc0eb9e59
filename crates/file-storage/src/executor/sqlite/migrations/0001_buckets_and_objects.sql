-- Buckets, objects, the segments that objects are made of, and who uses how much (SPEC 4).
-- Times are microseconds since 1970 in UTC, set by the server's clock; uuids are hyphenated lower-case text;
-- digests are lower-case hexadecimal text.

CREATE TABLE storage_buckets (
    id                 TEXT    NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 100),
    uuid               TEXT    NOT NULL UNIQUE CHECK (length(uuid) = 36),
    owner_id           TEXT             CHECK (length(owner_id) = 36),
    policy             TEXT    NOT NULL DEFAULT 'private'
                                        CHECK (policy IN ('public', 'authenticated', 'private')),
    allowed_mime_types TEXT             CHECK (json_type(allowed_mime_types) = 'array'),
    max_file_size      INTEGER NOT NULL DEFAULT 0 CHECK (max_file_size >= 0),
    quota_bytes        INTEGER          CHECK (quota_bytes >= 0),
    file_count         INTEGER NOT NULL DEFAULT 0 CHECK (file_count >= 0),
    total_bytes        INTEGER NOT NULL DEFAULT 0 CHECK (total_bytes >= 0),
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The primary key is the order of every list: the table is its own index.
CREATE TABLE storage_objects (
    id            TEXT    NOT NULL CHECK (length(id) = 36),
    bucket_id     TEXT    NOT NULL REFERENCES storage_buckets (id),
    path          TEXT    NOT NULL CHECK (length(path) >= 1),
    size          INTEGER NOT NULL CHECK (size >= 0),
    content_type  TEXT    NOT NULL,
    cache_control TEXT,
    checksum      TEXT    NOT NULL CHECK (length(checksum) = 64),
    etag          TEXT    NOT NULL,
    owner_id      TEXT             CHECK (length(owner_id) = 36),
    metadata      TEXT    NOT NULL DEFAULT '{}',
    version       TEXT    NOT NULL UNIQUE CHECK (length(version) = 36),
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (bucket_id, path)
) STRICT, WITHOUT ROWID;

-- "My rows in this bucket", in the order of lists: where rows decide, a list costs what it shows.
CREATE INDEX storage_objects_by_owner ON storage_objects (owner_id, bucket_id, path)
    WHERE owner_id IS NOT NULL;

-- A rowid table, because only its leaves hold long rows whole: inline bytes then need no overflow pages.
CREATE TABLE storage_segments (
    version  TEXT    NOT NULL REFERENCES storage_objects (version) ON UPDATE CASCADE,
    ordinal  INTEGER NOT NULL CHECK (ordinal >= 0),
    "offset" INTEGER NOT NULL CHECK ("offset" >= 0),
    size     INTEGER NOT NULL CHECK (size >= 0),
    sha256   TEXT    NOT NULL CHECK (length(sha256) = 64),
    provider TEXT,
    blob_key TEXT,
    bytes    BLOB             CHECK (length(bytes) = size),
    PRIMARY KEY (version, ordinal),
    CHECK ((bytes IS NULL) = (blob_key IS NOT NULL)),
    CHECK ((provider IS NULL) = (blob_key IS NULL))
) STRICT;

-- A blob is part of one segment only, so that a segment that goes may take its blob along.
CREATE UNIQUE INDEX storage_segments_by_blob ON storage_segments (blob_key) WHERE blob_key IS NOT NULL;

CREATE TABLE storage_usage (
    id                 TEXT    NOT NULL UNIQUE,
    user_id            TEXT    NOT NULL PRIMARY KEY CHECK (length(user_id) = 36),
    total_bytes        INTEGER NOT NULL DEFAULT 0 CHECK (total_bytes >= 0),
    file_count         INTEGER NOT NULL DEFAULT 0 CHECK (file_count >= 0),
    quota_bytes        INTEGER          CHECK (quota_bytes >= 0),
    last_calculated_at INTEGER,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Refers to nothing: a blob waits for its deletion also when its bucket is gone.
CREATE TABLE blob_deletions (
    blob_key  TEXT    NOT NULL PRIMARY KEY,
    provider  TEXT    NOT NULL,
    size      INTEGER NOT NULL CHECK (size >= 0),
    attempts  INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    queued_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX blob_deletions_by_turn ON blob_deletions (attempts, queued_at);
