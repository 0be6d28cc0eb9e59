DROP FUNCTION {schema}.list_rows(text, text, text, boolean, bigint, bigint);
ALTER POLICY "~aerostore_object_read_anon" ON {schema}.storage_objects
    USING ((SELECT {schema}.role()) = 'anon' AND (
        SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id AND b.policy = 'public'));
ALTER POLICY "~aerostore_object_read" ON {schema}.storage_objects
    USING ((SELECT {schema}.role()) = 'authenticated'
        AND (owner_id = (SELECT {schema}.current_user_id()) OR (
            SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id
            AND (b.policy IN ('public', 'authenticated') OR b.owner_id = (SELECT {schema}.current_user_id())))));
ALTER POLICY "~aerostore_object_create" ON {schema}.storage_objects
    WITH CHECK ((SELECT {schema}.role()) = 'authenticated' AND (
        SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id
        AND (b.policy = 'authenticated' OR b.owner_id = (SELECT {schema}.current_user_id())
            OR b.owner_id IS NULL)));
ALTER POLICY "~aerostore_object_overwrite" ON {schema}.storage_objects
    USING ((SELECT {schema}.role()) = 'authenticated'
        AND (owner_id = (SELECT {schema}.current_user_id()) OR (
            SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id
            AND (b.policy = 'authenticated' OR b.owner_id = (SELECT {schema}.current_user_id())))));
ALTER POLICY "~aerostore_object_delete" ON {schema}.storage_objects
    USING ((SELECT {schema}.role()) = 'authenticated'
        AND (owner_id = (SELECT {schema}.current_user_id()) OR (
            SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id
            AND b.owner_id = (SELECT {schema}.current_user_id()))));
