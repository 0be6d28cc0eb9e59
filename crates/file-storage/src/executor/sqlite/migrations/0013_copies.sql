-- Copies of blobs on other providers. A copy is found by the blob that it is of, which a segment refers to; it follows the blob
-- where that moves, and goes with it.

CREATE TABLE blob_copies (
    copy_key    TEXT    NOT NULL PRIMARY KEY,
    blob_key    TEXT    NOT NULL,
    provider    TEXT    NOT NULL,
    size        INTEGER NOT NULL CHECK (size >= 0),
    verified_at INTEGER NOT NULL,
    CHECK (copy_key <> blob_key)
) STRICT, WITHOUT ROWID;

-- A blob has one copy on each provider.
CREATE UNIQUE INDEX blob_copies_by_blob ON blob_copies (blob_key, provider);

-- What a provider keeps is found, and counted, without the copies of others.
CREATE INDEX blob_copies_by_provider ON blob_copies (provider, copy_key, size);

-- The queue has one more reason. A check is not changed: the table is made anew, and keeps what it had.
DROP TRIGGER blob_leaves_queue;
CREATE TABLE upload_queue_kept AS SELECT * FROM upload_queue;
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
    reason          TEXT    NOT NULL CHECK (reason IN ('deferred', 'failover', 'migration', 'copy')),
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

-- A blob waits once for its place, and once for each of its copies.
CREATE UNIQUE INDEX upload_queue_by_blob ON upload_queue
    (blob_key, CASE WHEN reason = 'copy' THEN target_provider ELSE '' END) WHERE status <> 'completed';

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

-- What nothing refers to any more need not go anywhere, and its copies go with it: as blobs, which have none of their own.
CREATE TRIGGER blob_leaves_queue AFTER INSERT ON blob_deletions
BEGIN
    DELETE FROM upload_queue WHERE blob_key = NEW.blob_key AND status <> 'completed';
    INSERT INTO blob_deletions (blob_key, provider, size, queued_at)
        SELECT copy_key, provider, size, NEW.queued_at FROM blob_copies WHERE blob_key = NEW.blob_key;
    DELETE FROM blob_copies WHERE blob_key = NEW.blob_key;
END;
