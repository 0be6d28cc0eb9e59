DROP TRIGGER bucket_was_set ON {schema}.storage_buckets;
DROP FUNCTION {inner}.bucket_was_set();
ALTER TABLE {schema}.storage_buckets DROP COLUMN settings_version;
