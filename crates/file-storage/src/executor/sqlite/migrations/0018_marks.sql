-- How often a bucket has changed: its row, or the objects in it. It is counted in the transaction that changes them, whoever
-- makes it, so that who knows an answer and the count before it knows when the answer is no longer right. Counters of bytes and
-- files are no change: who lists sees none of them.
ALTER TABLE storage_buckets ADD COLUMN changes INTEGER NOT NULL DEFAULT 0;

CREATE TRIGGER bucket_has_changed AFTER UPDATE OF id, uuid, owner_id, policy, versioning ON storage_buckets
BEGIN
    UPDATE storage_buckets SET changes = changes + 1 WHERE id IN (OLD.id, NEW.id);
END;

CREATE TRIGGER bucket_has_one_more AFTER INSERT ON storage_objects
BEGIN
    UPDATE storage_buckets SET changes = changes + 1 WHERE id = NEW.bucket_id;
END;

CREATE TRIGGER bucket_has_another AFTER UPDATE ON storage_objects
BEGIN
    UPDATE storage_buckets SET changes = changes + 1 WHERE id IN (OLD.bucket_id, NEW.bucket_id);
END;

CREATE TRIGGER bucket_has_one_less AFTER DELETE ON storage_objects
BEGIN
    UPDATE storage_buckets SET changes = changes + 1 WHERE id = OLD.bucket_id;
END;

-- What somebody's older versions take is found as what their objects take is: without a look at everybody's.
CREATE INDEX storage_object_versions_by_owner ON storage_object_versions (owner_id, bucket_id, path)
    WHERE owner_id IS NOT NULL;
