-- What expressions find in the judge's database. Supabase's functions are as Supabase has them.
SET timezone = 'UTC';
CREATE SCHEMA auth;
CREATE SCHEMA storage;
CREATE SCHEMA aerostore;

CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS
    $$ SELECT nullif(current_setting('request.uid', true), '')::uuid $$;
CREATE FUNCTION auth.role() RETURNS text LANGUAGE sql STABLE AS
    $$ SELECT current_setting('request.role', true) $$;
CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE AS
    $$ SELECT current_setting('request.claims', true)::jsonb $$;
CREATE FUNCTION current_user_id() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT auth.uid() $$;

CREATE FUNCTION storage.foldername(name text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    _parts text[];
BEGIN
    SELECT string_to_array(name, '/') INTO _parts;
    RETURN _parts[1:array_length(_parts, 1) - 1];
END $$;
CREATE FUNCTION storage.filename(name text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    _parts text[];
BEGIN
    SELECT string_to_array(name, '/') INTO _parts;
    RETURN _parts[array_length(_parts, 1)];
END $$;
CREATE FUNCTION storage.extension(name text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    _parts text[];
    _filename text;
BEGIN
    SELECT string_to_array(name, '/') INTO _parts;
    SELECT _parts[array_length(_parts, 1)] INTO _filename;
    RETURN reverse(split_part(reverse(_filename), '.', 1));
END $$;

CREATE FUNCTION aerostore.uid() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT auth.uid() $$;
CREATE FUNCTION aerostore.role() RETURNS text LANGUAGE sql STABLE AS $$ SELECT auth.role() $$;
CREATE FUNCTION aerostore.jwt() RETURNS jsonb LANGUAGE sql STABLE AS $$ SELECT auth.jwt() $$;
CREATE FUNCTION aerostore.foldername(name text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$ SELECT storage.foldername(name) $$;
CREATE FUNCTION aerostore.filename(name text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT storage.filename(name) $$;
CREATE FUNCTION aerostore.extension(name text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT storage.extension(name) $$;

CREATE TABLE storage_objects (
    id uuid NOT NULL PRIMARY KEY,
    bucket_id text COLLATE "C" NOT NULL,
    path text COLLATE "C" NOT NULL,
    size bigint NOT NULL,
    content_type text COLLATE "C" NOT NULL,
    cache_control text COLLATE "C",
    owner_id uuid,
    metadata jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    name text COLLATE "C" GENERATED ALWAYS AS (path) STORED,
    owner uuid GENERATED ALWAYS AS (owner_id) STORED
);

-- Each row on its own: an error in one is that row's answer.
CREATE FUNCTION try_each(expression text) RETURNS TABLE (row_id uuid, answer text) LANGUAGE plpgsql AS $$
DECLARE
    one uuid;
    found text;
BEGIN
    FOR one IN SELECT id FROM storage_objects LOOP
        BEGIN
            EXECUTE format('SELECT (%s)::text FROM storage_objects WHERE id = %L', expression, one) INTO found;
        EXCEPTION WHEN others THEN
            found := 'error ' || sqlerrm;
        END;
        row_id := one;
        answer := found;
        RETURN NEXT;
    END LOOP;
END $$;
