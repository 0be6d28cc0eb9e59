DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT p.polname, p.polrelid::regclass AS relation FROM pg_policy p
        JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = '{schema}'::regnamespace
    LOOP
        EXECUTE format('DROP POLICY %I ON %s', one.polname, one.relation);
    END LOOP;
END
$$;
REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM anon, authenticated, service_role;
REVOKE ALL (id, uuid, owner_id, policy, allowed_mime_types, max_file_size, quota_bytes, created_at, updated_at)
    ON {schema}.storage_buckets FROM authenticated, service_role;
REVOKE ALL (bucket_id, path, size, content_type, cache_control, checksum, etag, metadata, version, updated_at)
    ON {schema}.storage_objects FROM anon, authenticated, service_role;
REVOKE ALL ON SCHEMA {schema} FROM anon, authenticated, service_role;
DROP FUNCTION {schema}.reads_all(text);
DROP VIEW {inner}.bucket_access;
DROP FUNCTION {schema}.extension(text), {schema}.filename(text), {schema}.foldername(text);
DROP FUNCTION {schema}.uid(), {schema}.current_user_id(), {schema}.role(), {schema}.jwt();
