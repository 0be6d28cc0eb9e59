-- Lists of one level: objects that lie side by side are read in one go, and not row by row.

-- The objects of a bucket whose path is at least `low` and below `high`, by path; of those below a folder, the first one
-- alone. A folder is what ends with `delimiter` behind the first `level` characters of a path. What is below it is leapt over, so
-- that the cost follows the answer. It runs as its caller, under the policies of the table.
CREATE FUNCTION {schema}.list_level(
    bucket text, low text, high text, level integer, delimiter text, down boolean, skipped bigint, wanted bigint
) RETURNS SETOF {schema}.storage_objects LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    all_rows boolean := {schema}.reads_all(bucket);
    caller uuid := {schema}.current_user_id();
    object {schema}.storage_objects;
    folder text;
    slash integer;
    above integer;
    left_out bigint := skipped;
    answered bigint := 0;
    -- Many rows come at once. Behind a folder there is often another one: then each of them would be read for nothing.
    batch bigint := NULL;
BEGIN
    IF down THEN
        RETURN QUERY SELECT (l.object).* FROM {schema}.list_entries(
            bucket, '', low, high, level, delimiter, false, true, skipped, wanted) l;
        RETURN;
    END IF;
    -- NOTE: policies of SELECT beyond the bucket's own must have `reads_all` say true, or their rows are not found.
    IF NOT all_rows AND caller IS NULL THEN
        RETURN;
    END IF;
    LOOP
        IF all_rows THEN
            FOR object IN SELECT o.* FROM {schema}.storage_objects o
                WHERE o.bucket_id = bucket AND o.path >= low AND o.path < high ORDER BY o.path LIMIT batch
            LOOP
                slash := strpos(substr(object.path, level + 1), delimiter);
                IF left_out > 0 THEN
                    left_out := left_out - 1;
                ELSE
                    answered := answered + 1;
                    RETURN NEXT object;
                END IF;
                EXIT WHEN slash > 0 OR answered >= wanted;
            END LOOP;
        ELSE
            FOR object IN SELECT o.* FROM {schema}.storage_objects o WHERE o.owner_id = caller
                AND o.bucket_id = bucket AND o.path >= low AND o.path < high ORDER BY o.path LIMIT batch
            LOOP
                slash := strpos(substr(object.path, level + 1), delimiter);
                IF left_out > 0 THEN
                    left_out := left_out - 1;
                ELSE
                    answered := answered + 1;
                    RETURN NEXT object;
                END IF;
                EXIT WHEN slash > 0 OR answered >= wanted;
            END LOOP;
        END IF;
        EXIT WHEN NOT FOUND OR answered >= wanted;
        IF slash > 0 THEN
            folder := left(object.path, level + slash + length(delimiter) - 1);
            -- What comes after everything that starts with the folder's path. Surrogates are no characters.
            above := ascii(right(folder, 1)) + 1;
            EXIT WHEN above > 1114111;
            low := left(folder, -1) || chr(CASE above WHEN 55296 THEN 57344 ELSE above END);
            batch := 1;
        ELSIF batch IS NULL THEN
            EXIT;
        ELSE
            low := object.path || chr(1);
            batch := NULL;
        END IF;
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION {schema}.list_level(text, text, text, integer, text, boolean, bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.list_level(text, text, text, integer, text, boolean, bigint, bigint)
    TO anon, authenticated, service_role, aerostore_keeper;
