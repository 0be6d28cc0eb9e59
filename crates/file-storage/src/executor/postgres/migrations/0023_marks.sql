-- The row of a bucket is written in every transaction that changes objects in it, so that the transaction which wrote it last
-- tells whether anything has changed (`postgres/marks.rs`). Objects that come or go are counted there anyway; ones that change
-- may leave the counts as they are. Triggers come by their names: this one before those that count, which lock users after
-- buckets.
SET LOCAL ROLE aerostore_keeper;
CREATE FUNCTION {inner}.buckets_are_marked() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changed text;
BEGIN
    FOR changed IN SELECT bucket_id FROM vanished UNION SELECT bucket_id FROM appeared ORDER BY 1
    LOOP
        UPDATE {schema}.storage_buckets SET file_count = file_count WHERE id = changed;
    END LOOP;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION {inner}.buckets_are_marked() FROM PUBLIC;
RESET ROLE;

CREATE TRIGGER buckets_are_marked AFTER UPDATE ON {schema}.storage_objects
    REFERENCING OLD TABLE AS vanished NEW TABLE AS appeared
    FOR EACH STATEMENT EXECUTE FUNCTION {inner}.buckets_are_marked();

-- What somebody's older versions take is found as what their objects take is: without a look at everybody's.
CREATE INDEX storage_object_versions_by_owner ON {schema}.storage_object_versions (owner_id, bucket_id, path)
    WHERE owner_id IS NOT NULL;
