-- Receivers of events: what each wants, where it stands, and how its last attempts went. Secrets are sealed under the server's
-- master key; the one before the last rotation signs as well for a while. Who has the lease delivers, and nobody else.
CREATE TABLE storage_webhooks (
    id              TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    url             TEXT    NOT NULL,
    kinds           TEXT    NOT NULL,
    bucket_id       TEXT,
    prefix          TEXT    NOT NULL,
    status          TEXT    NOT NULL CHECK (status IN ('active', 'disabled', 'paused', 'gone')),
    position        INTEGER NOT NULL CHECK (position >= 0),
    attempts        INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt_at INTEGER,
    last_success_at INTEGER,
    last_error      TEXT,
    last_error_at   INTEGER,
    sealed_secret   TEXT    NOT NULL,
    sealed_previous TEXT,
    previous_until  INTEGER,
    leased_by       TEXT             CHECK (length(leased_by) = 36),
    leased_until    INTEGER,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
