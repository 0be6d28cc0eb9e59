-- Policies that people write in SQL (SPEC 3.3), as they were given. Times are microseconds since 1970 in UTC.

CREATE TABLE storage_policies (
    name       TEXT    NOT NULL PRIMARY KEY CHECK (octet_length(name) BETWEEN 1 AND 63),
    command    TEXT    NOT NULL CHECK (command IN ('ALL', 'SELECT', 'INSERT', 'UPDATE', 'DELETE')),
    permissive INTEGER NOT NULL CHECK (permissive IN (0, 1)),
    roles      TEXT    NOT NULL CHECK (json_type(roles) = 'array'),
    definition TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
