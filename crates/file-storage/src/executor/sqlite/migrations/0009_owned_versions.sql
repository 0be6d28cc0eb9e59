-- A delete marker carries what policies may ask of what it hides, its size included, and is shown without it. A constraint that
-- goes changes no row, and so is taken out of the definition alone, as SQLite's documentation of ALTER TABLE has it.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, ',
    CHECK (is_delete_marker = 0 OR size = 0)', '')
    WHERE type = 'table' AND name = 'storage_object_versions';
PRAGMA writable_schema = RESET;
