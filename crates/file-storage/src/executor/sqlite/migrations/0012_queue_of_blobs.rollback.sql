-- The table is as it was before; what it held is forgotten, and its blobs stay where they are.
DROP TABLE provider_identities;
DROP INDEX storage_segments_by_provider;
DROP INDEX multipart_parts_by_provider;
DROP TRIGGER blob_leaves_queue;
DROP TABLE upload_queue;

CREATE TABLE upload_queue (
    id              TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    user_id         TEXT             CHECK (length(user_id) = 36),
    bucket_id       TEXT    NOT NULL,
    file_name       TEXT    NOT NULL,
    file_size_bytes INTEGER NOT NULL CHECK (file_size_bytes >= 0),
    mime_type       TEXT    NOT NULL,
    storage_path    TEXT    NOT NULL,
    target_provider TEXT    NOT NULL,
    status          TEXT    NOT NULL DEFAULT 'pending'
                            CHECK (status IN ('pending', 'in_progress', 'completed', 'failed')),
    attempt_count   INTEGER NOT NULL DEFAULT 0 CHECK (attempt_count >= 0),
    max_attempts    INTEGER NOT NULL DEFAULT 5 CHECK (max_attempts >= 1),
    error_message   TEXT,
    next_attempt_at INTEGER NOT NULL,
    leased_by       TEXT             CHECK (length(leased_by) = 36),
    leased_until    INTEGER,
    queued_at       INTEGER NOT NULL,
    started_at      INTEGER,
    completed_at    INTEGER,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    CHECK (attempt_count <= max_attempts),
    CHECK (status <> 'in_progress' OR started_at IS NOT NULL),
    CHECK ((status IN ('completed', 'failed')) = (completed_at IS NOT NULL)),
    CHECK ((leased_by IS NULL) = (leased_until IS NULL)),
    CHECK (leased_by IS NULL OR status = 'in_progress')
) STRICT;

CREATE INDEX upload_queue_by_turn ON upload_queue (next_attempt_at) WHERE status = 'pending';
CREATE INDEX upload_queue_by_lease ON upload_queue (leased_until) WHERE status = 'in_progress';
CREATE INDEX upload_queue_by_user ON upload_queue (user_id, queued_at DESC);
CREATE INDEX upload_queue_failed ON upload_queue (completed_at) WHERE status = 'failed';

CREATE TRIGGER upload_queue_begins BEFORE INSERT ON upload_queue WHEN NEW.status <> 'pending'
BEGIN
    SELECT RAISE(ABORT, 'an upload begins as pending');
END;

CREATE TRIGGER upload_queue_goes_on BEFORE UPDATE OF status ON upload_queue
WHEN NEW.status <> OLD.status AND (OLD.status || '>' || NEW.status) NOT IN (
    'pending>in_progress', 'pending>failed', 'in_progress>completed', 'in_progress>failed',
    'in_progress>pending', 'failed>pending')
BEGIN
    SELECT RAISE(ABORT, 'an upload does not go this way');
END;
