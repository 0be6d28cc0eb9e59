DROP FUNCTION {schema}.list_entries(text, text, text, text, integer, text, boolean, boolean, bigint, bigint);

-- Walks over the objects of a bucket whose path is at least `low` and below `high`, and starts with `start`, by path.
-- With `level`, the length of the listed folder's path, what lies below a folder in it is answered once, as `folder`,
-- and leapt over: the cost follows the answer. `folded` takes ASCII letters in either case.
CREATE FUNCTION {schema}.list_entries(
    bucket text, start text, low text, high text, level integer, folded boolean, down boolean,
    skipped bigint, wanted bigint
) RETURNS TABLE (folder text, object {schema}.storage_objects) LANGUAGE plpgsql STABLE AS $$
DECLARE
    all_rows boolean := {schema}.reads_all(bucket);
    caller uuid := {schema}.current_user_id();
    own_start text COLLATE "C" := start;
    rows refcursor;
    slash integer;
    left_out bigint := skipped;
    answered bigint := 0;
BEGIN
    -- NOTE: policies of SELECT beyond the bucket's own must have `reads_all` say true, or their rows are not found.
    IF NOT all_rows AND caller IS NULL THEN
        RETURN;
    END IF;
    <<seek>>
    LOOP
        IF all_rows AND NOT down THEN
            OPEN rows FOR SELECT o.* FROM {schema}.storage_objects o
                WHERE o.bucket_id = bucket AND o.path >= low AND o.path < high ORDER BY o.path;
        ELSIF all_rows THEN
            OPEN rows FOR SELECT o.* FROM {schema}.storage_objects o
                WHERE o.bucket_id = bucket AND o.path >= low AND o.path < high ORDER BY o.path DESC;
        ELSIF NOT down THEN
            OPEN rows FOR SELECT o.* FROM {schema}.storage_objects o WHERE o.owner_id = caller
                AND o.bucket_id = bucket AND o.path >= low AND o.path < high ORDER BY o.path;
        ELSE
            OPEN rows FOR SELECT o.* FROM {schema}.storage_objects o WHERE o.owner_id = caller
                AND o.bucket_id = bucket AND o.path >= low AND o.path < high ORDER BY o.path DESC;
        END IF;
        LOOP
            FETCH rows INTO object;
            EXIT seek WHEN NOT FOUND;
            IF folded AND lower(left(object.path, length(own_start)) COLLATE "C") <> lower(own_start) THEN
                low := {schema}.next_match(object.path, own_start);
                EXIT seek WHEN low IS NULL;
                EXIT;
            END IF;
            slash := CASE WHEN level IS NULL THEN 0 ELSE strpos(substr(object.path, level + 1), '/') END;
            folder := CASE WHEN slash > 0 THEN left(object.path, level + slash) END;
            IF left_out > 0 THEN
                left_out := left_out - 1;
            ELSE
                answered := answered + 1;
                RETURN NEXT;
                EXIT seek WHEN answered >= wanted;
            END IF;
            IF folder IS NOT NULL THEN
                IF down THEN
                    high := folder;
                ELSE
                    -- What comes after everything that starts with the folder's path and its slash.
                    low := left(folder, -1) || '0';
                END IF;
                EXIT;
            END IF;
        END LOOP;
        CLOSE rows;
    END LOOP;
    CLOSE rows;
END
$$;

REVOKE ALL ON FUNCTION {schema}.list_entries(text, text, text, text, integer, boolean, boolean, bigint, bigint)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.list_entries(text, text, text, text, integer, boolean, boolean, bigint, bigint)
    TO anon, authenticated, service_role, aerostore_keeper;

DROP TABLE {schema}.s3_credentials;
ALTER TABLE {schema}.multipart_uploads DROP COLUMN extra;
ALTER TABLE {schema}.storage_buckets DROP COLUMN extra;
ALTER TABLE {schema}.storage_objects DROP COLUMN extra;
