DROP TRIGGER bucket_changed ON {schema}.storage_buckets;
DROP TRIGGER bucket_made_or_gone ON {schema}.storage_buckets;
DROP TRIGGER object_enters ON {schema}.storage_objects;
DROP TRIGGER objects_vanished ON {schema}.storage_objects;
DROP TRIGGER objects_changed ON {schema}.storage_objects;
DROP TRIGGER objects_appeared ON {schema}.storage_objects;
DROP FUNCTION {inner}.bucket_changed(), {inner}.object_enters(), {inner}.objects_changed(),
    {inner}.objects_vanished(), {inner}.objects_appeared();
DROP FUNCTION {inner}.discard_bytes(uuid[]), {inner}.told(uuid, uuid, bigint, text, text),
    {inner}.count_for_owner(uuid, bigint, bigint), {inner}.count_in_bucket(text, bigint, bigint),
    {inner}.hold_quota(text, bigint, bigint, bigint);
