DROP INDEX storage_object_versions_by_owner;
DROP TRIGGER bucket_has_one_less;
DROP TRIGGER bucket_has_another;
DROP TRIGGER bucket_has_one_more;
DROP TRIGGER bucket_has_changed;
ALTER TABLE storage_buckets DROP COLUMN changes;
