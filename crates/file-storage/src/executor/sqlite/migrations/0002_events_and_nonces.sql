-- What happened, written in the transaction in which it did, and the single-use tokens that were used.

-- AUTOINCREMENT, so that a number is never given twice, even after old events are gone.
CREATE TABLE storage_events (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    bucket_id  TEXT    NOT NULL,
    path       TEXT,
    owner_id   TEXT,
    payload    TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE used_nonces (
    nonce      TEXT    NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX used_nonces_by_expiry ON used_nonces (expires_at);
