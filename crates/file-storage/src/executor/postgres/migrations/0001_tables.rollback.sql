DROP TABLE {schema}.used_nonces;
DROP TABLE {schema}.storage_events;
DROP TABLE {schema}.blob_deletions;
DROP TABLE {schema}.storage_usage;
DROP TABLE {schema}.storage_segments;
DROP TABLE {schema}.storage_objects;
DROP TABLE {schema}.storage_buckets;
DROP SCHEMA {inner};
REVOKE ALL ON SCHEMA {schema} FROM aerostore_keeper;
