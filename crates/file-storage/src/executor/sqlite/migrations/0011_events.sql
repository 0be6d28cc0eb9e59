-- How far events were deleted, where any were: a reader who stands before that has missed some.
CREATE TABLE storage_events_gone (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    position INTEGER NOT NULL CHECK (position >= 0)
) STRICT;

-- Who may be told of a bucket that is gone is asked by its end.
CREATE INDEX storage_events_of_ends ON storage_events (bucket_id, sequence) WHERE kind = 'storage.bucket.deleted';
