-- SQL policies in force: native policies on storage_objects, beside the table's own.

-- The table's own have names that no policy of people's can have. Of what grants, PostgreSQL asks the last name first: the
-- table comes before people's policies, which then can't fail where they are not needed.
ALTER POLICY keeper ON {schema}.storage_objects RENAME TO "~aerostore_keeper";
ALTER POLICY service ON {schema}.storage_objects RENAME TO "~aerostore_service";
ALTER POLICY object_read_anon ON {schema}.storage_objects RENAME TO "~aerostore_object_read_anon";
ALTER POLICY object_read ON {schema}.storage_objects RENAME TO "~aerostore_object_read";
ALTER POLICY object_create ON {schema}.storage_objects RENAME TO "~aerostore_object_create";
ALTER POLICY object_overwrite ON {schema}.storage_objects RENAME TO "~aerostore_object_overwrite";
ALTER POLICY object_delete ON {schema}.storage_objects RENAME TO "~aerostore_object_delete";
ALTER POLICY object_of_ones_own ON {schema}.storage_objects RENAME TO "~aerostore_object_of_ones_own";

-- Whatever policies grant, they grant it to somebody: claims that do not fit the database's role are nobody's.
CREATE POLICY "~aerostore_object_to_somebody" ON {schema}.storage_objects AS RESTRICTIVE TO anon, authenticated
    USING ((SELECT {schema}.role() = current_user));

-- Changes with every change of policies, in its transaction: who knows the policies of this version, knows them all. Not
-- a number, so that a database that was restored is not taken for what it was.
SET LOCAL ROLE aerostore_keeper;
CREATE TABLE {inner}.policies_in_force (version uuid NOT NULL);
INSERT INTO {inner}.policies_in_force VALUES (gen_random_uuid());
ALTER TABLE {inner}.policies_in_force ENABLE ROW LEVEL SECURITY;
ALTER TABLE {inner}.policies_in_force FORCE ROW LEVEL SECURITY;
CREATE POLICY keeper ON {inner}.policies_in_force TO aerostore_keeper USING (true);

-- Roles to which policies may show rows that the table does not. As `bucket_access`, it is reached by its identity.
CREATE VIEW {inner}.read_widened AS SELECT unnest(roles) AS role FROM {schema}.storage_policies
    WHERE permissive AND command IN ('SELECT', 'ALL') AND using_expression IS NOT NULL;
GRANT SELECT ON {inner}.read_widened TO anon, authenticated, service_role;
RESET ROLE;

-- Whether a list has to look at all objects of a bucket, and not only at the caller's own: as the caller may read all of
-- them, or as policies may show some.
CREATE OR REPLACE FUNCTION {schema}.reads_all(bucket text) RETURNS boolean LANGUAGE sql STABLE
    RETURN coalesce({schema}.role() = 'service_role', false) OR EXISTS (
        SELECT 1 FROM {inner}.bucket_access b WHERE b.id = bucket AND (
            b.policy = 'public' AND {schema}.role() IN ('anon', 'authenticated')
            OR {schema}.role() = 'authenticated'
                AND (b.policy = 'authenticated' OR b.owner_id = {schema}.current_user_id())))
    OR EXISTS (SELECT 1 FROM {inner}.read_widened w WHERE w.role = {schema}.role());

-- The parts of an empty path are NULL, as Supabase's functions have it. Not STRICT: NULL leads to NULL by itself, and a
-- strict function could not be inlined.
CREATE OR REPLACE FUNCTION {schema}.foldername(name text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (string_to_array(name, '/'))[1 : array_length(string_to_array(name, '/'), 1) - 1];
CREATE OR REPLACE FUNCTION {schema}.filename(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN split_part(nullif(name, ''), '/', -1);
CREATE OR REPLACE FUNCTION {schema}.extension(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN split_part(split_part(nullif(name, ''), '/', -1), '.', -1);
