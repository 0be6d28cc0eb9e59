-- What the queue held is forgotten, and its blobs stay where they are.
DROP TRIGGER blobs_leave_queue ON {schema}.blob_deletions;
DROP FUNCTION {inner}.blobs_leave_queue();
DROP TABLE {schema}.provider_identities;
DROP INDEX {schema}.storage_segments_by_provider;
DROP INDEX {schema}.multipart_parts_by_provider;
TRUNCATE {schema}.upload_queue;
DROP INDEX {schema}.upload_queue_by_way;
DROP INDEX {schema}.upload_queue_by_blob;
DROP INDEX {schema}.upload_queue_by_end;
DROP INDEX {schema}.upload_queue_by_status;
DROP INDEX {schema}.upload_queue_by_user;
ALTER TABLE {schema}.upload_queue
    DROP COLUMN blob_key,
    DROP COLUMN source_provider,
    DROP COLUMN reason,
    ALTER COLUMN max_attempts SET DEFAULT 5;
CREATE INDEX upload_queue_by_turn ON {schema}.upload_queue (next_attempt_at) WHERE status = 'pending';
CREATE INDEX upload_queue_by_user ON {schema}.upload_queue (user_id, queued_at DESC);
CREATE INDEX upload_queue_failed ON {schema}.upload_queue (completed_at) WHERE status = 'failed';
