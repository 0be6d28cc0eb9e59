-- Row-level security: SPEC 3.2's table as native policies. RLS is on and forced everywhere, so that a table without
-- a policy for a role shows it nothing. Whoever asks is told by two things that must agree: the database's role,
-- and the claims; without claims there is nobody, and nobody sees nothing.

-- The caller's claims, as PostgREST and Supabase hand them over: a JSON object in `request.jwt.claims`.
CREATE FUNCTION {schema}.jwt() RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('request.jwt.claims', true), '')::jsonb;

-- The caller's role: anon, authenticated or service_role.
CREATE FUNCTION {schema}.role() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    RETURN {schema}.jwt() ->> 'role';

-- The caller's user, where there is one.
CREATE FUNCTION {schema}.current_user_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif({schema}.jwt() ->> 'sub', '')::uuid;

CREATE FUNCTION {schema}.uid() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN {schema}.current_user_id();

-- The folders of a path: all its parts but the last.
CREATE FUNCTION {schema}.foldername(name text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN (string_to_array(name, '/'))[1 : cardinality(string_to_array(name, '/')) - 1];

-- The last part of a path.
CREATE FUNCTION {schema}.filename(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN split_part(name, '/', -1);

-- What stands after the last dot of the last part.
CREATE FUNCTION {schema}.extension(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN split_part(split_part(name, '/', -1), '.', -1);

-- What decides about rows of a bucket, also of one that the caller can't see. Policies reach it because they know
-- it by its identity; nobody else can name it, as no user may use its schema.
SET LOCAL ROLE aerostore_keeper;
CREATE VIEW {inner}.bucket_access AS SELECT id, policy, owner_id FROM {schema}.storage_buckets;
GRANT SELECT ON {inner}.bucket_access TO anon, authenticated, service_role;
RESET ROLE;

-- Whether the caller may read all objects of a bucket, whatever their rows say: for lists, which then need not look
-- for the caller's own.
CREATE FUNCTION {schema}.reads_all(bucket text) RETURNS boolean LANGUAGE sql STABLE
    RETURN coalesce({schema}.role() = 'service_role', false) OR EXISTS (
        SELECT 1 FROM {inner}.bucket_access b WHERE b.id = bucket AND (
            b.policy = 'public' AND {schema}.role() IN ('anon', 'authenticated')
            OR {schema}.role() = 'authenticated'
                AND (b.policy = 'authenticated' OR b.owner_id = {schema}.current_user_id())));

DO $$
DECLARE
    one regclass;
BEGIN
    FOR one IN SELECT c.oid FROM pg_class c WHERE c.relnamespace = '{schema}'::regnamespace
        AND c.relkind = 'r' AND c.relname <> 'schema_migrations'
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', one);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', one);
        EXECUTE format('CREATE POLICY keeper ON %s TO aerostore_keeper USING (true)', one);
        EXECUTE format('CREATE POLICY service ON %s TO service_role USING (true)', one);
    END LOOP;
END
$$;

-- Buckets.
CREATE POLICY bucket_read_anon ON {schema}.storage_buckets FOR SELECT TO anon
    USING ((SELECT {schema}.role()) = 'anon' AND policy = 'public');
CREATE POLICY bucket_read ON {schema}.storage_buckets FOR SELECT TO authenticated
    USING ((SELECT {schema}.role()) = 'authenticated'
        AND (policy IN ('public', 'authenticated') OR owner_id = (SELECT {schema}.current_user_id())));
CREATE POLICY bucket_create ON {schema}.storage_buckets FOR INSERT TO authenticated
    WITH CHECK ((SELECT {schema}.role()) = 'authenticated' AND owner_id = (SELECT {schema}.current_user_id()));
CREATE POLICY bucket_update ON {schema}.storage_buckets FOR UPDATE TO authenticated
    USING ((SELECT {schema}.role()) = 'authenticated' AND owner_id = (SELECT {schema}.current_user_id()));
CREATE POLICY bucket_delete ON {schema}.storage_buckets FOR DELETE TO authenticated
    USING ((SELECT {schema}.role()) = 'authenticated' AND owner_id = (SELECT {schema}.current_user_id()));

-- Objects. A bucket is asked for by its name, row by row. IMPORTANT: not by EXISTS, which the planner may turn into a
-- hash over all buckets there are.
CREATE POLICY object_read_anon ON {schema}.storage_objects FOR SELECT TO anon
    USING ((SELECT {schema}.role()) = 'anon' AND (
        SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id AND b.policy = 'public'));
CREATE POLICY object_read ON {schema}.storage_objects FOR SELECT TO authenticated
    USING ((SELECT {schema}.role()) = 'authenticated'
        AND (owner_id = (SELECT {schema}.current_user_id()) OR (
            SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id
            AND (b.policy IN ('public', 'authenticated') OR b.owner_id = (SELECT {schema}.current_user_id())))));
CREATE POLICY object_create ON {schema}.storage_objects FOR INSERT TO authenticated
    WITH CHECK ((SELECT {schema}.role()) = 'authenticated' AND (
        SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id
        AND (b.policy = 'authenticated' OR b.owner_id = (SELECT {schema}.current_user_id())
            OR b.owner_id IS NULL)));
CREATE POLICY object_overwrite ON {schema}.storage_objects FOR UPDATE TO authenticated
    USING ((SELECT {schema}.role()) = 'authenticated'
        AND (owner_id = (SELECT {schema}.current_user_id()) OR (
            SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id
            AND (b.policy = 'authenticated' OR b.owner_id = (SELECT {schema}.current_user_id())))));
CREATE POLICY object_delete ON {schema}.storage_objects FOR DELETE TO authenticated
    USING ((SELECT {schema}.role()) = 'authenticated'
        AND (owner_id = (SELECT {schema}.current_user_id()) OR (
            SELECT true FROM {inner}.bucket_access b WHERE b.id = bucket_id
            AND b.owner_id = (SELECT {schema}.current_user_id()))));
-- Whatever else is granted, nobody makes objects in somebody else's name.
CREATE POLICY object_of_ones_own ON {schema}.storage_objects AS RESTRICTIVE FOR INSERT TO anon, authenticated
    WITH CHECK (owner_id IS NOT DISTINCT FROM (SELECT {schema}.current_user_id()));

-- The way to the bytes is open to those who see the object.
CREATE POLICY segment_read ON {schema}.storage_segments FOR SELECT TO anon, authenticated
    USING ((SELECT true FROM {schema}.storage_objects o WHERE o.version = storage_segments.version));

-- Everybody's own usage.
CREATE POLICY usage_read ON {schema}.storage_usage FOR SELECT TO authenticated
    USING ((SELECT {schema}.role()) = 'authenticated' AND user_id = (SELECT {schema}.current_user_id()));

-- Who may ask at all. Of what is not named here, users get nothing: events, queues, nonces, the keeper's functions.
GRANT USAGE ON SCHEMA {schema} TO anon, authenticated, service_role;
GRANT SELECT ON {schema}.storage_buckets, {schema}.storage_objects, {schema}.storage_segments, {schema}.storage_usage
    TO anon, authenticated, service_role;
GRANT INSERT (id, uuid, owner_id, policy, allowed_mime_types, max_file_size, quota_bytes, created_at, updated_at)
    ON {schema}.storage_buckets TO authenticated, service_role;
GRANT UPDATE (policy, allowed_mime_types, max_file_size, quota_bytes, updated_at)
    ON {schema}.storage_buckets TO authenticated, service_role;
GRANT DELETE ON {schema}.storage_buckets TO authenticated, service_role;
-- Neither the identity, nor the owner, nor the time of creation ever changes.
GRANT INSERT, DELETE ON {schema}.storage_objects TO anon, authenticated, service_role;
GRANT UPDATE (bucket_id, path, size, content_type, cache_control, checksum, etag, metadata, version, updated_at)
    ON {schema}.storage_objects TO anon, authenticated, service_role;
GRANT UPDATE (quota_bytes, updated_at) ON {schema}.storage_usage TO service_role;
