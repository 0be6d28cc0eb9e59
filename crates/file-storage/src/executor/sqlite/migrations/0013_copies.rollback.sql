-- Copies are deleted, as nothing knows them any more; the blobs that they are of stay where they are.
DROP TRIGGER blob_leaves_queue;
INSERT INTO blob_deletions (blob_key, provider, size, queued_at)
    SELECT copy_key, provider, size, verified_at FROM blob_copies;
DROP TABLE blob_copies;

CREATE TABLE upload_queue_kept AS SELECT * FROM upload_queue WHERE reason <> 'copy';
DROP TABLE upload_queue;

CREATE TABLE upload_queue (
    id              TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    user_id         TEXT             CHECK (length(user_id) = 36),
    bucket_id       TEXT    NOT NULL,
    file_name       TEXT    NOT NULL,
    file_size_bytes INTEGER NOT NULL CHECK (file_size_bytes >= 0),
    mime_type       TEXT    NOT NULL,
    storage_path    TEXT    NOT NULL,
    blob_key        TEXT    NOT NULL,
    source_provider TEXT    NOT NULL,
    target_provider TEXT    NOT NULL,
    reason          TEXT    NOT NULL CHECK (reason IN ('deferred', 'failover', 'migration')),
    status          TEXT    NOT NULL DEFAULT 'pending'
                            CHECK (status IN ('pending', 'in_progress', 'completed', 'failed')),
    attempt_count   INTEGER NOT NULL DEFAULT 0 CHECK (attempt_count >= 0),
    max_attempts    INTEGER NOT NULL DEFAULT 20 CHECK (max_attempts >= 1),
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

INSERT INTO upload_queue SELECT * FROM upload_queue_kept;
DROP TABLE upload_queue_kept;

-- A worker asks for each way that it can go, and passes over no entry whose way is closed.
CREATE INDEX upload_queue_by_way ON upload_queue (target_provider, source_provider, next_attempt_at)
    WHERE status = 'pending';

-- A blob waits once.
CREATE UNIQUE INDEX upload_queue_by_blob ON upload_queue (blob_key) WHERE status <> 'completed';

CREATE INDEX upload_queue_by_lease ON upload_queue (leased_until) WHERE status = 'in_progress';
CREATE INDEX upload_queue_by_end ON upload_queue (completed_at) WHERE status = 'completed';

-- Identities are in the order of time, and so are lists.
CREATE INDEX upload_queue_by_status ON upload_queue (status, id);
CREATE INDEX upload_queue_by_user ON upload_queue (user_id, id);

-- Every entry begins as pending. A worker takes it, and completes it, fails it, or gives it back; what has failed
-- may be queued again, and what waits may be given up. What is completed stays so.
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

-- What nothing refers to any more need not go anywhere.
CREATE TRIGGER blob_leaves_queue AFTER INSERT ON blob_deletions
BEGIN
    DELETE FROM upload_queue WHERE blob_key = NEW.blob_key AND status <> 'completed';
END;
