DROP INDEX {schema}.storage_object_versions_by_owner;
DROP TRIGGER buckets_are_marked ON {schema}.storage_objects;
DROP FUNCTION {inner}.buckets_are_marked();
