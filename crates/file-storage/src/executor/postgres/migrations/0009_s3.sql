-- What S3 keeps beside objects and buckets, the keys of its clients, and lists that end folders at any text (SPEC 7).

ALTER TABLE {schema}.storage_objects ADD COLUMN extra jsonb CHECK (jsonb_typeof(extra) = 'object');
ALTER TABLE {schema}.storage_buckets ADD COLUMN extra jsonb CHECK (jsonb_typeof(extra) = 'object');
ALTER TABLE {schema}.multipart_uploads ADD COLUMN extra jsonb CHECK (jsonb_typeof(extra) = 'object');
GRANT UPDATE (extra) ON {schema}.storage_objects TO anon, authenticated, service_role;
GRANT UPDATE (extra) ON {schema}.storage_buckets TO authenticated, service_role;

-- The keeper's alone: no user reads or writes it. The secret is sealed under the server's master key.
CREATE TABLE {schema}.s3_credentials (
    access_key_id text COLLATE "C" NOT NULL PRIMARY KEY CHECK (octet_length(access_key_id) BETWEEN 1 AND 128),
    name          text             NOT NULL,
    role          text             NOT NULL CHECK (role IN ('anon', 'authenticated', 'service_role')),
    user_id       uuid,
    enabled       boolean          NOT NULL DEFAULT true,
    sealed_secret text             NOT NULL,
    created_at    timestamptz      NOT NULL DEFAULT now(),
    last_used_at  timestamptz,
    CHECK (role <> 'authenticated' OR user_id IS NOT NULL)
);
ALTER TABLE {schema}.s3_credentials ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.s3_credentials FORCE ROW LEVEL SECURITY;
CREATE POLICY keeper ON {schema}.s3_credentials TO aerostore_keeper USING (true);
GRANT ALL ON {schema}.s3_credentials TO aerostore_keeper;

DROP FUNCTION {schema}.list_entries(text, text, text, text, integer, boolean, boolean, bigint, bigint);

-- Walks over the objects of a bucket whose path is at least `low` and below `high`, and starts with `start`, by path.
-- With `level`, the length of the listed folder's path, what lies below a folder in it, whose name ends with `delimiter`,
-- is answered once, as `folder`, and leapt over: the cost follows the answer. `folded` takes ASCII letters in either case.
CREATE FUNCTION {schema}.list_entries(
    bucket text, start text, low text, high text, level integer, delimiter text, folded boolean, down boolean,
    skipped bigint, wanted bigint
) RETURNS TABLE (folder text, object {schema}.storage_objects) LANGUAGE plpgsql STABLE AS $$
DECLARE
    all_rows boolean := {schema}.reads_all(bucket);
    caller uuid := {schema}.current_user_id();
    own_start text COLLATE "C" := start;
    rows refcursor;
    slash integer;
    above integer;
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
            slash := CASE WHEN level IS NULL THEN 0 ELSE strpos(substr(object.path, level + 1), delimiter) END;
            folder := CASE WHEN slash > 0 THEN left(object.path, level + slash + length(delimiter) - 1) END;
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
                    -- What comes after everything that starts with the folder's path. Surrogates are no characters.
                    above := ascii(right(folder, 1)) + 1;
                    EXIT seek WHEN above > 1114111;
                    low := left(folder, -1) || chr(CASE above WHEN 55296 THEN 57344 ELSE above END);
                END IF;
                EXIT;
            END IF;
        END LOOP;
        CLOSE rows;
    END LOOP;
    CLOSE rows;
END
$$;

REVOKE ALL ON FUNCTION {schema}.list_entries(text, text, text, text, integer, text, boolean, boolean, bigint, bigint)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.list_entries(text, text, text, text, integer, text, boolean, boolean, bigint, bigint)
    TO anon, authenticated, service_role, aerostore_keeper;
