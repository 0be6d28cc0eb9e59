-- What happened to providers is forgotten.
DROP INDEX storage_events_of_ends;
ALTER TABLE storage_events RENAME TO storage_events_before;

CREATE TABLE storage_events (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    bucket_id  TEXT    NOT NULL,
    path       TEXT,
    owner_id   TEXT,
    payload    TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

INSERT INTO storage_events SELECT * FROM storage_events_before WHERE bucket_id IS NOT NULL ORDER BY sequence;

-- A number is never given twice, even where the last events are gone.
DELETE FROM sqlite_sequence WHERE name = 'storage_events';
INSERT INTO sqlite_sequence (name, seq)
    SELECT 'storage_events', seq FROM sqlite_sequence WHERE name = 'storage_events_before';

DROP TABLE storage_events_before;

CREATE INDEX storage_events_of_ends ON storage_events (bucket_id, sequence) WHERE kind = 'storage.bucket.deleted';
