UPDATE upload_queue SET reason = 'migration' WHERE reason = 'archive';
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, '''migration'', ''archive''', '''migration''')
    WHERE type = 'table' AND name = 'upload_queue';
PRAGMA writable_schema = RESET;
DROP TABLE lifecycle_state;
DROP TABLE lifecycle_warnings;
DROP TABLE lifecycle_rules;
