-- The upload queue finds its blobs: an entry says which blob goes from where to where, and why. Nothing has ever been written
-- here: there is nothing to keep.

TRUNCATE {schema}.upload_queue;
ALTER TABLE {schema}.upload_queue
    ADD COLUMN blob_key text COLLATE "C" NOT NULL,
    ADD COLUMN source_provider text NOT NULL,
    ADD COLUMN reason text NOT NULL CHECK (reason IN ('deferred', 'failover', 'migration')),
    ALTER COLUMN max_attempts SET DEFAULT 20;

DROP INDEX {schema}.upload_queue_by_turn;
DROP INDEX {schema}.upload_queue_failed;
DROP INDEX {schema}.upload_queue_by_user;

-- A worker asks for each way that it can go, and passes over no entry whose way is closed.
CREATE INDEX upload_queue_by_way ON {schema}.upload_queue (target_provider, source_provider, next_attempt_at)
    WHERE status = 'pending';

-- A blob waits once.
CREATE UNIQUE INDEX upload_queue_by_blob ON {schema}.upload_queue (blob_key) WHERE status <> 'completed';

CREATE INDEX upload_queue_by_end ON {schema}.upload_queue (completed_at) WHERE status = 'completed';

-- Identities are in the order of time, and so are lists.
CREATE INDEX upload_queue_by_status ON {schema}.upload_queue (status, id);
CREATE INDEX upload_queue_by_user ON {schema}.upload_queue (user_id, id);

-- What a provider keeps is found, and counted, without the blobs of others.
CREATE INDEX storage_segments_by_provider ON {schema}.storage_segments (provider, blob_key) INCLUDE (size)
    WHERE blob_key IS NOT NULL;
CREATE INDEX multipart_parts_by_provider ON {schema}.multipart_parts (provider, blob_key) INCLUDE (size)
    WHERE blob_key IS NOT NULL;

-- Which directory the provider of a name is: the one that said so first.
CREATE TABLE {schema}.provider_identities (
    provider text NOT NULL PRIMARY KEY,
    identity uuid NOT NULL
);

ALTER TABLE {schema}.provider_identities ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.provider_identities FORCE ROW LEVEL SECURITY;
CREATE POLICY keeper ON {schema}.provider_identities TO aerostore_keeper USING (true);
GRANT ALL ON {schema}.provider_identities TO aerostore_keeper;

SET LOCAL ROLE aerostore_keeper;

-- What nothing refers to any more need not go anywhere.
CREATE FUNCTION {inner}.blobs_leave_queue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM {schema}.upload_queue q USING queued d WHERE q.blob_key = d.blob_key AND q.status <> 'completed';
    RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION {inner}.blobs_leave_queue() FROM PUBLIC;
RESET ROLE;

CREATE TRIGGER blobs_leave_queue AFTER INSERT ON {schema}.blob_deletions
    REFERENCING NEW TABLE AS queued FOR EACH STATEMENT EXECUTE FUNCTION {inner}.blobs_leave_queue();
