-- Copies of blobs on other providers. A copy is found by the blob that it is of, which a segment refers to; it follows the blob
-- where that moves, and goes with it.

CREATE TABLE {schema}.blob_copies (
    copy_key    text COLLATE "C" NOT NULL PRIMARY KEY,
    blob_key    text COLLATE "C" NOT NULL,
    provider    text             NOT NULL,
    size        bigint           NOT NULL CHECK (size >= 0),
    verified_at timestamptz      NOT NULL DEFAULT now(),
    CHECK (copy_key <> blob_key)
);

-- A blob has one copy on each provider.
CREATE UNIQUE INDEX blob_copies_by_blob ON {schema}.blob_copies (blob_key, provider);

-- What a provider keeps is found, and counted, without the copies of others.
CREATE INDEX blob_copies_by_provider ON {schema}.blob_copies (provider, copy_key) INCLUDE (size);

ALTER TABLE {schema}.blob_copies ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.blob_copies FORCE ROW LEVEL SECURITY;
CREATE POLICY keeper ON {schema}.blob_copies TO aerostore_keeper USING (true);
GRANT ALL ON {schema}.blob_copies TO aerostore_keeper;

ALTER TABLE {schema}.upload_queue
    DROP CONSTRAINT upload_queue_reason_check,
    ADD CONSTRAINT upload_queue_reason_check CHECK (reason IN ('deferred', 'failover', 'migration', 'copy'));

-- A blob waits once for its place, and once for each of its copies.
DROP INDEX {schema}.upload_queue_by_blob;
CREATE UNIQUE INDEX upload_queue_by_blob ON {schema}.upload_queue
    (blob_key, (CASE WHEN reason = 'copy' THEN target_provider ELSE '' END)) WHERE status <> 'completed';

SET LOCAL ROLE aerostore_keeper;

-- What nothing refers to any more need not go anywhere, and its copies go with it: as blobs, which have none of their own.
CREATE OR REPLACE FUNCTION {inner}.blobs_leave_queue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM {schema}.upload_queue q USING queued d WHERE q.blob_key = d.blob_key AND q.status <> 'completed';
    IF EXISTS (SELECT FROM queued d JOIN {schema}.blob_copies c ON c.blob_key = d.blob_key) THEN
        WITH gone AS (DELETE FROM {schema}.blob_copies c USING queued d WHERE c.blob_key = d.blob_key
            RETURNING c.copy_key, c.provider, c.size)
        INSERT INTO {schema}.blob_deletions (blob_key, provider, size)
            SELECT copy_key, provider, size FROM gone ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;

RESET ROLE;
