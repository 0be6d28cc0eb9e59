-- Versions: what was overwritten and deleted, where a bucket keeps it. The newest at a path is the row of storage_objects,
-- or a delete marker here; the others are here, in the order in which they were it.

ALTER TABLE storage_buckets ADD COLUMN versioning TEXT NOT NULL DEFAULT 'off'
    CHECK (versioning IN ('off', 'enabled', 'suspended'));

-- Whether it is a version of its own: what is none is the null version, of which a path has one.
ALTER TABLE storage_objects ADD COLUMN versioned INTEGER NOT NULL DEFAULT 0 CHECK (versioned IN (0, 1));

-- AUTOINCREMENT, so that a later row is never before an earlier one.
CREATE TABLE storage_object_versions (
    sequence         INTEGER PRIMARY KEY AUTOINCREMENT,
    bucket_id        TEXT    NOT NULL REFERENCES storage_buckets (id),
    path             TEXT    NOT NULL CHECK (length(path) >= 1),
    id               TEXT    NOT NULL CHECK (length(id) = 36),
    size             INTEGER NOT NULL CHECK (size >= 0),
    content_type     TEXT    NOT NULL,
    cache_control    TEXT,
    checksum         TEXT             CHECK (length(checksum) = 64),
    etag             TEXT    NOT NULL,
    owner_id         TEXT             CHECK (length(owner_id) = 36),
    metadata         TEXT    NOT NULL DEFAULT '{}',
    version          TEXT    NOT NULL UNIQUE CHECK (length(version) = 36),
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    extra            TEXT             CHECK (json_type(extra) = 'object'),
    versioned        INTEGER NOT NULL CHECK (versioned IN (0, 1)),
    is_delete_marker INTEGER NOT NULL CHECK (is_delete_marker IN (0, 1)),
    noncurrent_at    INTEGER NOT NULL,
    CHECK (is_delete_marker = 0 OR size = 0)
) STRICT;

CREATE UNIQUE INDEX storage_object_versions_by_age
    ON storage_object_versions (bucket_id, path, sequence DESC);
CREATE UNIQUE INDEX storage_object_versions_null
    ON storage_object_versions (bucket_id, path) WHERE versioned = 0;

-- Segments are of an object or of a version, and stay where they are when the one becomes the other. A constraint that goes
-- changes no row, and so is taken out of the definition alone, as SQLite's documentation of ALTER TABLE has it.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, ' REFERENCES storage_objects (version) ON UPDATE CASCADE', '')
    WHERE type = 'table' AND name = 'storage_segments';
PRAGMA writable_schema = RESET;

CREATE TRIGGER segment_has_version BEFORE INSERT ON storage_segments
    WHEN NOT EXISTS (SELECT 1 FROM storage_objects WHERE version = NEW.version)
        AND NOT EXISTS (SELECT 1 FROM storage_object_versions WHERE version = NEW.version)
BEGIN
    SELECT RAISE(ABORT, 'the segment is of no version');
END;

CREATE TRIGGER object_leaves_no_segment BEFORE DELETE ON storage_objects
    WHEN EXISTS (SELECT 1 FROM storage_segments WHERE version = OLD.version)
        AND NOT EXISTS (SELECT 1 FROM storage_object_versions WHERE version = OLD.version)
BEGIN
    SELECT RAISE(ABORT, 'the object has segments');
END;

CREATE TRIGGER version_leaves_no_segment BEFORE DELETE ON storage_object_versions
    WHEN EXISTS (SELECT 1 FROM storage_segments WHERE version = OLD.version)
        AND NOT EXISTS (SELECT 1 FROM storage_objects WHERE version = OLD.version)
BEGIN
    SELECT RAISE(ABORT, 'the version has segments');
END;
