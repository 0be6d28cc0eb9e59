-- What happens to providers is told, too. It is about no bucket, and nothing else is about none. A column that may be NULL
-- takes a table that is made anew.
DROP INDEX storage_events_of_ends;
ALTER TABLE storage_events RENAME TO storage_events_before;

CREATE TABLE storage_events (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    bucket_id  TEXT,
    path       TEXT,
    owner_id   TEXT,
    payload    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    CHECK ((bucket_id IS NULL) = (kind GLOB 'storage.provider.*')),
    CHECK (bucket_id IS NOT NULL OR (path IS NULL AND owner_id IS NULL))
) STRICT;

INSERT INTO storage_events SELECT * FROM storage_events_before ORDER BY sequence;

-- A number is never given twice, even where the last events are gone.
DELETE FROM sqlite_sequence WHERE name = 'storage_events';
INSERT INTO sqlite_sequence (name, seq)
    SELECT 'storage_events', seq FROM sqlite_sequence WHERE name = 'storage_events_before';

DROP TABLE storage_events_before;

CREATE INDEX storage_events_of_ends ON storage_events (bucket_id, sequence) WHERE kind = 'storage.bucket.deleted';
