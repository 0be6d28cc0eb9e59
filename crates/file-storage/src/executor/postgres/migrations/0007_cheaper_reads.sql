-- What row-level security costs a statement: less for a row, and less for a page.

-- `~aerostore_object_to_somebody` holds for whatever is granted: claims are those of the database's role. So the table's own
-- policies ask the role alone, and read the claims for the user only. Each (SELECT …) is worth its while for many rows, and
-- is paid for by every lookup.
ALTER POLICY "~aerostore_object_read_anon" ON {schema}.storage_objects
    USING (current_user = 'anon' AND (
        SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id AND b.policy = 'public'));
ALTER POLICY "~aerostore_object_read" ON {schema}.storage_objects
    USING (current_user = 'authenticated'
        AND (owner_id = (SELECT {schema}.current_user_id()) OR (
            SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id
            AND (b.policy IN ('public', 'authenticated') OR b.owner_id = (SELECT {schema}.current_user_id())))));
ALTER POLICY "~aerostore_object_create" ON {schema}.storage_objects
    WITH CHECK (current_user = 'authenticated' AND (
        SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id
        AND (b.policy = 'authenticated' OR b.owner_id = (SELECT {schema}.current_user_id())
            OR b.owner_id IS NULL)));
ALTER POLICY "~aerostore_object_overwrite" ON {schema}.storage_objects
    USING (current_user = 'authenticated'
        AND (owner_id = (SELECT {schema}.current_user_id()) OR (
            SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id
            AND (b.policy = 'authenticated' OR b.owner_id = (SELECT {schema}.current_user_id())))));
ALTER POLICY "~aerostore_object_delete" ON {schema}.storage_objects
    USING (current_user = 'authenticated'
        AND (owner_id = (SELECT {schema}.current_user_id()) OR (
            SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id
            AND b.owner_id = (SELECT {schema}.current_user_id()))));

-- The objects of a bucket whose path is at least `low` and below `high`, by path, folders or not: what `list_entries` answers
-- without a level, in one statement rather than row by row. It runs as its caller, under the policies of the table.
CREATE FUNCTION {schema}.list_rows(
    bucket text, low text, high text, down boolean, skipped bigint, wanted bigint
) RETURNS SETOF {schema}.storage_objects LANGUAGE plpgsql STABLE AS $$
DECLARE
    all_rows boolean := {schema}.reads_all(bucket);
    caller uuid := {schema}.current_user_id();
BEGIN
    IF all_rows AND NOT down THEN
        RETURN QUERY SELECT o.* FROM {schema}.storage_objects o
            WHERE o.bucket_id = bucket AND o.path >= low AND o.path < high
            ORDER BY o.path OFFSET skipped LIMIT wanted;
    ELSIF all_rows THEN
        RETURN QUERY SELECT o.* FROM {schema}.storage_objects o
            WHERE o.bucket_id = bucket AND o.path >= low AND o.path < high
            ORDER BY o.path DESC OFFSET skipped LIMIT wanted;
    ELSIF NOT down THEN
        RETURN QUERY SELECT o.* FROM {schema}.storage_objects o WHERE o.owner_id = caller
            AND o.bucket_id = bucket AND o.path >= low AND o.path < high
            ORDER BY o.path OFFSET skipped LIMIT wanted;
    ELSE
        RETURN QUERY SELECT o.* FROM {schema}.storage_objects o WHERE o.owner_id = caller
            AND o.bucket_id = bucket AND o.path >= low AND o.path < high
            ORDER BY o.path DESC OFFSET skipped LIMIT wanted;
    END IF;
END
$$;

REVOKE ALL ON FUNCTION {schema}.list_rows(text, text, text, boolean, bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.list_rows(text, text, text, boolean, bigint, bigint)
    TO anon, authenticated, service_role, aerostore_keeper;
