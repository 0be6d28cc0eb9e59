-- Rules that let old files go, and what is remembered of them. Times are microseconds since 1970 in UTC.

-- What a rule says is one document, which the server alone reads.
CREATE TABLE lifecycle_rules (
    id         TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    bucket_id  TEXT    NOT NULL REFERENCES storage_buckets (id) ON DELETE CASCADE,
    source     TEXT    NOT NULL CHECK (source IN ('api', 's3')),
    name       TEXT             CHECK (length(name) >= 1),
    spec       TEXT    NOT NULL CHECK (json_type(spec) = 'object'),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Names are a matter of who gives them. What has none is in nobody's way.
CREATE UNIQUE INDEX lifecycle_rules_by_name ON lifecycle_rules (bucket_id, source, name);

-- Which objects were told of, and when. Those of objects that are gone are forgotten by each run.
CREATE TABLE lifecycle_warnings (
    version   TEXT    NOT NULL CHECK (length(version) = 36),
    rule_id   TEXT    NOT NULL CHECK (length(rule_id) = 36),
    due_at    INTEGER NOT NULL,
    warned_at INTEGER NOT NULL,
    PRIMARY KEY (version, rule_id)
) STRICT, WITHOUT ROWID;

-- One row, or none: when somebody last looked at the clock, until when rules wait as it has leapt, and which run was the last.
CREATE TABLE lifecycle_state (
    id         INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    seen_at    INTEGER,
    held_until INTEGER,
    turn_at    INTEGER
) STRICT;

-- Archiving is one more reason why a blob is to be elsewhere. What a constraint lets in besides changes no row, and so is put into
-- the definition alone, as SQLite's documentation of ALTER TABLE has it.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, '''migration''', '''migration'', ''archive''')
    WHERE type = 'table' AND name = 'upload_queue';
PRAGMA writable_schema = RESET;
