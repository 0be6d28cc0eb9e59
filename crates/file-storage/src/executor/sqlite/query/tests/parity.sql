-- What queries find in PostgreSQL, as far as they ask for it: tables, and functions of the caller. The zone is one that
-- no answer may show.
SET timezone = 'America/New_York';
CREATE SCHEMA aerostore;
SET search_path = aerostore;

CREATE FUNCTION jwt() RETURNS jsonb LANGUAGE sql STABLE
    RETURN nullif(current_setting('request.jwt.claims', true), '')::jsonb;
CREATE FUNCTION role() RETURNS text LANGUAGE sql STABLE RETURN aerostore.jwt() ->> 'role';
CREATE FUNCTION uid() RETURNS uuid LANGUAGE sql STABLE RETURN nullif(aerostore.jwt() ->> 'sub', '')::uuid;
CREATE FUNCTION current_user_id() RETURNS uuid LANGUAGE sql STABLE RETURN aerostore.uid();
CREATE FUNCTION foldername(name text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT
    RETURN (string_to_array(name, '/'))[1 : cardinality(string_to_array(name, '/')) - 1];
CREATE SCHEMA storage;
CREATE FUNCTION storage.foldername(name text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT
    RETURN aerostore.foldername(name);

CREATE TABLE storage_buckets (
    id text COLLATE "C" PRIMARY KEY, uuid uuid NOT NULL, owner_id uuid, policy text NOT NULL, allowed_mime_types text[],
    max_file_size bigint NOT NULL, quota_bytes bigint, file_count bigint NOT NULL, total_bytes bigint NOT NULL,
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL
);
CREATE TABLE storage_objects (
    id uuid NOT NULL, bucket_id text COLLATE "C" NOT NULL, path text COLLATE "C" NOT NULL, size bigint NOT NULL,
    content_type text NOT NULL, cache_control text, checksum text NOT NULL, etag text NOT NULL, owner_id uuid,
    metadata jsonb NOT NULL, version uuid NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL,
    PRIMARY KEY (bucket_id, path)
);
CREATE TABLE storage_usage (
    id uuid NOT NULL, user_id uuid PRIMARY KEY, total_bytes bigint NOT NULL, file_count bigint NOT NULL,
    quota_bytes bigint, last_calculated_at timestamptz, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL
);
CREATE TABLE upload_queue (
    id uuid PRIMARY KEY, user_id uuid, bucket_id text, file_name text, file_size_bytes bigint, mime_type text,
    storage_path text, source_provider text, target_provider text, reason text, status text, attempt_count integer, max_attempts integer,
    error_message text, next_attempt_at timestamptz, queued_at timestamptz, started_at timestamptz,
    completed_at timestamptz, created_at timestamptz, updated_at timestamptz
);
