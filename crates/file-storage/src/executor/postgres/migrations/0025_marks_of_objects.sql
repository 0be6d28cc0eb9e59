-- How often what is said of a bucket was set: beside the transaction that wrote an object last, it tells whether what callers are
-- shown of the object may have changed (`postgres/marks/objects.rs`). The row's own last transaction does not: each write in the
-- bucket is counted in it. Counters are no part of this, and no trigger runs for them.
ALTER TABLE {schema}.storage_buckets ADD COLUMN settings_version bigint NOT NULL DEFAULT 0;

SET LOCAL ROLE aerostore_keeper;
CREATE FUNCTION {inner}.bucket_was_set() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.settings_version := OLD.settings_version + 1;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION {inner}.bucket_was_set() FROM PUBLIC;
RESET ROLE;

CREATE TRIGGER bucket_was_set BEFORE UPDATE OF id, uuid, owner_id, policy, allowed_mime_types, max_file_size, quota_bytes,
    versioning, extra, created_at, updated_at, settings_version
    ON {schema}.storage_buckets FOR EACH ROW EXECUTE FUNCTION {inner}.bucket_was_set();
