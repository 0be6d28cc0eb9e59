-- Events get a position when they are first read: sequence numbers are given when an event is written, and seen when it is
-- committed, so that a reader who goes by them would pass over what commits late. Positions are given to what is
-- committed, one reader at a time, in the order of sequence numbers: what happened before in a bucket has the lower one,
-- and nothing appears behind a reader. No transaction that is held open, whoever's it is, holds anybody up.
ALTER TABLE {schema}.storage_events ADD COLUMN position bigint;

SET LOCAL ROLE aerostore_keeper;
UPDATE {schema}.storage_events SET position = sequence;
RESET ROLE;

CREATE UNIQUE INDEX storage_events_by_position ON {schema}.storage_events (position);
CREATE INDEX storage_events_without_position ON {schema}.storage_events (sequence) WHERE position IS NULL;

-- Who may be told of a bucket that is gone is asked by its end.
CREATE INDEX storage_events_of_ends ON {schema}.storage_events (bucket_id, sequence)
    WHERE kind = 'storage.bucket.deleted';

-- How far events were deleted, where any were: a reader who stands before that has missed some.
CREATE TABLE {schema}.storage_events_gone (
    id       integer NOT NULL PRIMARY KEY CHECK (id = 1),
    position bigint  NOT NULL CHECK (position >= 0)
);

ALTER TABLE {schema}.storage_events_gone ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.storage_events_gone FORCE ROW LEVEL SECURITY;
CREATE POLICY keeper ON {schema}.storage_events_gone TO aerostore_keeper USING (true);
GRANT ALL ON {schema}.storage_events_gone TO aerostore_keeper;
