-- Copies are deleted, as nothing knows them any more; the blobs that they are of stay where they are.
DELETE FROM {schema}.upload_queue WHERE reason = 'copy';
INSERT INTO {schema}.blob_deletions (blob_key, provider, size)
    SELECT copy_key, provider, size FROM {schema}.blob_copies ON CONFLICT DO NOTHING;

SET LOCAL ROLE aerostore_keeper;
CREATE OR REPLACE FUNCTION {inner}.blobs_leave_queue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM {schema}.upload_queue q USING queued d WHERE q.blob_key = d.blob_key AND q.status <> 'completed';
    RETURN NULL;
END
$$;
RESET ROLE;

DROP TABLE {schema}.blob_copies;
DROP INDEX {schema}.upload_queue_by_blob;
CREATE UNIQUE INDEX upload_queue_by_blob ON {schema}.upload_queue (blob_key) WHERE status <> 'completed';
ALTER TABLE {schema}.upload_queue
    DROP CONSTRAINT upload_queue_reason_check,
    ADD CONSTRAINT upload_queue_reason_check CHECK (reason IN ('deferred', 'failover', 'migration'));
