-- People's policies go: nothing would know of them.
DO $$
DECLARE
    one text;
BEGIN
    FOR one IN SELECT polname FROM pg_policy WHERE polrelid = '{schema}.storage_objects'::regclass
        AND NOT starts_with(polname, '~aerostore_')
    LOOP
        EXECUTE format('DROP POLICY %I ON {schema}.storage_objects', one);
    END LOOP;
END
$$;
SET LOCAL ROLE aerostore_keeper;
DELETE FROM {schema}.storage_policies;
RESET ROLE;

CREATE OR REPLACE FUNCTION {schema}.foldername(name text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN (string_to_array(name, '/'))[1 : cardinality(string_to_array(name, '/')) - 1];
CREATE OR REPLACE FUNCTION {schema}.filename(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN split_part(name, '/', -1);
CREATE OR REPLACE FUNCTION {schema}.extension(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN split_part(split_part(name, '/', -1), '.', -1);

CREATE OR REPLACE FUNCTION {schema}.reads_all(bucket text) RETURNS boolean LANGUAGE sql STABLE
    RETURN coalesce({schema}.role() = 'service_role', false) OR EXISTS (
        SELECT 1 FROM {inner}.bucket_access b WHERE b.id = bucket AND (
            b.policy = 'public' AND {schema}.role() IN ('anon', 'authenticated')
            OR {schema}.role() = 'authenticated'
                AND (b.policy = 'authenticated' OR b.owner_id = {schema}.current_user_id())));
SET LOCAL ROLE aerostore_keeper;
DROP VIEW {inner}.read_widened;
DROP TABLE {inner}.policies_in_force;
RESET ROLE;

DROP POLICY "~aerostore_object_to_somebody" ON {schema}.storage_objects;
ALTER POLICY "~aerostore_keeper" ON {schema}.storage_objects RENAME TO keeper;
ALTER POLICY "~aerostore_service" ON {schema}.storage_objects RENAME TO service;
ALTER POLICY "~aerostore_object_read_anon" ON {schema}.storage_objects RENAME TO object_read_anon;
ALTER POLICY "~aerostore_object_read" ON {schema}.storage_objects RENAME TO object_read;
ALTER POLICY "~aerostore_object_create" ON {schema}.storage_objects RENAME TO object_create;
ALTER POLICY "~aerostore_object_overwrite" ON {schema}.storage_objects RENAME TO object_overwrite;
ALTER POLICY "~aerostore_object_delete" ON {schema}.storage_objects RENAME TO object_delete;
ALTER POLICY "~aerostore_object_of_ones_own" ON {schema}.storage_objects RENAME TO object_of_ones_own;
