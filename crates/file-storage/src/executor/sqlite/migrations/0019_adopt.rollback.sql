ALTER TABLE jobs RENAME TO jobs_before;

CREATE TABLE jobs (
    id               TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    kind             TEXT    NOT NULL
                             CHECK (kind IN ('delete_folder', 'move_folder', 'copy_folder', 'scrub', 'lifecycle')),
    caller           TEXT    NOT NULL CHECK (json_valid(caller)),
    user_id          TEXT             CHECK (length(user_id) = 36),
    params           TEXT    NOT NULL CHECK (json_valid(params)),
    dry_run          INTEGER NOT NULL CHECK (dry_run IN (0, 1)),
    status           TEXT    NOT NULL DEFAULT 'pending'
                             CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
    state            TEXT    NOT NULL DEFAULT 'null' CHECK (json_valid(state)),
    done             INTEGER NOT NULL DEFAULT 0 CHECK (done >= 0),
    bytes            INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    total            INTEGER          CHECK (total >= 0),
    failures         INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
    report           TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(report)),
    error            TEXT             CHECK (json_valid(error)),
    leased_by        TEXT             CHECK (length(leased_by) = 36),
    leased_until     INTEGER,
    attempts         INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    created_at       INTEGER NOT NULL,
    started_at       INTEGER,
    updated_at       INTEGER NOT NULL,
    completed_at     INTEGER,
    CHECK (status <> 'running' OR started_at IS NOT NULL),
    CHECK ((status IN ('completed', 'failed', 'cancelled')) = (completed_at IS NOT NULL)),
    CHECK ((leased_by IS NULL) = (leased_until IS NULL)),
    CHECK ((leased_by IS NOT NULL) = (status = 'running'))
) STRICT;

INSERT INTO jobs (id, kind, caller, user_id, params, dry_run, status, cancel_requested, state, done, bytes, total, failures, report, error,
    leased_by, leased_until, attempts, created_at, started_at, updated_at, completed_at)
SELECT id, kind, caller, user_id, params, dry_run, status, cancel_requested, state, done, bytes, total, failures, report, error,
    leased_by, leased_until, attempts, created_at, started_at, updated_at, completed_at
FROM jobs_before WHERE kind <> 'adopt';

DROP TABLE jobs_before;

-- Identities are in the order of time: the oldest is begun first, and lists begin with the newest.
CREATE INDEX jobs_by_turn ON jobs (id) WHERE status IN ('pending', 'running');
CREATE INDEX jobs_by_status ON jobs (status, id);
CREATE INDEX jobs_by_user ON jobs (user_id, id);
CREATE INDEX jobs_by_end ON jobs (completed_at) WHERE completed_at IS NOT NULL;

-- Every job begins as pending. A worker takes it and ends it, or gives it back; what has ended stays so.
CREATE TRIGGER jobs_begin BEFORE INSERT ON jobs WHEN NEW.status <> 'pending'
BEGIN
    SELECT RAISE(ABORT, 'a job begins as pending');
END;

CREATE TRIGGER jobs_go_on BEFORE UPDATE OF status ON jobs
WHEN NEW.status <> OLD.status AND (OLD.status || '>' || NEW.status) NOT IN (
    'pending>running', 'pending>cancelled', 'running>pending', 'running>completed', 'running>failed',
    'running>cancelled')
BEGIN
    SELECT RAISE(ABORT, 'a job does not go this way');
END;
