-- Uploads in several pieces: what is known of them before they are objects, and the parts that become segments (SPEC 4).

CREATE TABLE {schema}.multipart_uploads (
    id            uuid             NOT NULL PRIMARY KEY,
    bucket_id     text COLLATE "C" NOT NULL REFERENCES {schema}.storage_buckets (id),
    path          text COLLATE "C" NOT NULL CHECK (octet_length(path) BETWEEN 1 AND 1024),
    role          text             NOT NULL CHECK (role IN ('anon', 'authenticated', 'service_role')),
    owner_id      uuid,
    replaces      boolean          NOT NULL,
    content_type  text             NOT NULL,
    cache_control text,
    metadata      jsonb            NOT NULL DEFAULT '{}',
    checksum      jsonb,
    held_bytes    bigint           NOT NULL DEFAULT 0 CHECK (held_bytes >= 0),
    created_at    timestamptz      NOT NULL DEFAULT now(),
    expires_at    timestamptz      NOT NULL
) WITH (fillfactor = 70);

CREATE INDEX multipart_uploads_by_path ON {schema}.multipart_uploads (bucket_id, path, id);
CREATE INDEX multipart_uploads_by_expiry ON {schema}.multipart_uploads (expires_at);

CREATE TABLE {schema}.multipart_parts (
    upload_id  uuid        NOT NULL REFERENCES {schema}.multipart_uploads (id),
    number     integer     NOT NULL CHECK (number >= 1),
    size       bigint      NOT NULL CHECK (size >= 0),
    sha256     text        NOT NULL CHECK (length(sha256) = 64),
    etag       text        NOT NULL,
    checksums  jsonb       NOT NULL DEFAULT '{}',
    provider   text,
    blob_key   text COLLATE "C",
    bytes      bytea                CHECK (octet_length(bytes) = size),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (upload_id, number),
    CHECK ((bytes IS NULL) = (blob_key IS NOT NULL)),
    CHECK ((provider IS NULL) = (blob_key IS NULL))
);

ALTER TABLE {schema}.multipart_parts ALTER COLUMN bytes SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX multipart_parts_by_blob ON {schema}.multipart_parts (blob_key) WHERE blob_key IS NOT NULL;

-- What an upload that is appended to has beside that. It outlives its end for a while: a client asks whether it came.
CREATE TABLE {schema}.resumable_uploads (
    upload_id    uuid        NOT NULL PRIMARY KEY REFERENCES {schema}.multipart_uploads (id),
    length       bigint               CHECK (length >= 0),
    epoch        bigint      NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    is_partial   boolean     NOT NULL,
    told         text        NOT NULL,
    completed_at timestamptz
);

-- What unfinished uploads hold counts against quotas, beside what objects do.
ALTER TABLE {schema}.storage_buckets ADD COLUMN unfinished_bytes bigint NOT NULL DEFAULT 0
    CHECK (unfinished_bytes >= 0);
ALTER TABLE {schema}.storage_usage ADD COLUMN unfinished_bytes bigint NOT NULL DEFAULT 0
    CHECK (unfinished_bytes >= 0);

-- The SHA-256 of an object in several segments is not known.
ALTER TABLE {schema}.storage_objects ALTER COLUMN checksum DROP NOT NULL;

DO $$
DECLARE
    one text;
BEGIN
    FOREACH one IN ARRAY ARRAY['multipart_uploads', 'multipart_parts', 'resumable_uploads'] LOOP
        EXECUTE format('ALTER TABLE {schema}.%I ENABLE ROW LEVEL SECURITY', one);
        EXECUTE format('ALTER TABLE {schema}.%I FORCE ROW LEVEL SECURITY', one);
        EXECUTE format('CREATE POLICY keeper ON {schema}.%I TO aerostore_keeper USING (true)', one);
        EXECUTE format('CREATE POLICY service ON {schema}.%I TO service_role USING (true)', one);
        EXECUTE format('GRANT ALL ON {schema}.%I TO aerostore_keeper', one);
        EXECUTE format('GRANT SELECT ON {schema}.%I TO authenticated, service_role', one);
    END LOOP;
END
$$;

-- Who began an upload sees it; the keeper alone changes it, in the name of those who may.
CREATE POLICY upload_read ON {schema}.multipart_uploads FOR SELECT TO authenticated
    USING ((SELECT {schema}.role()) = 'authenticated' AND role = 'authenticated'
        AND owner_id = (SELECT {schema}.current_user_id()));
CREATE POLICY part_read ON {schema}.multipart_parts FOR SELECT TO authenticated
    USING ((SELECT true FROM {schema}.multipart_uploads u WHERE u.id = upload_id));
CREATE POLICY resumable_read ON {schema}.resumable_uploads FOR SELECT TO authenticated
    USING ((SELECT true FROM {schema}.multipart_uploads u WHERE u.id = upload_id));

SET LOCAL ROLE aerostore_keeper;

-- Counts objects and bytes that came to a bucket, or went.
CREATE OR REPLACE FUNCTION {inner}.count_in_bucket(bucket text, files bigint, bytes bigint)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    total bigint;
    quota bigint;
BEGIN
    UPDATE {schema}.storage_buckets SET file_count = file_count + files, total_bytes = total_bytes + bytes
        WHERE id = bucket RETURNING total_bytes + unfinished_bytes, quota_bytes INTO total, quota;
    PERFORM {inner}.hold_quota('bucket', total, quota, bytes);
END
$$;

-- Counts objects and bytes that came to a user, or went.
CREATE OR REPLACE FUNCTION {inner}.count_for_owner(owner uuid, files bigint, bytes bigint)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    total bigint;
    quota bigint;
BEGIN
    UPDATE {schema}.storage_usage SET file_count = file_count + files, total_bytes = total_bytes + bytes,
        updated_at = now() WHERE user_id = owner
        RETURNING total_bytes + unfinished_bytes, quota_bytes INTO total, quota;
    IF NOT FOUND THEN
        INSERT INTO {schema}.storage_usage AS u (user_id, file_count, total_bytes, last_calculated_at)
            VALUES (owner, files, bytes, now())
            ON CONFLICT (user_id) DO UPDATE SET file_count = u.file_count + files,
                total_bytes = u.total_bytes + bytes, updated_at = now()
            RETURNING u.total_bytes + u.unfinished_bytes, u.quota_bytes INTO total, quota;
    END IF;
    PERFORM {inner}.hold_quota('user', total, quota, bytes);
END
$$;

-- Counts bytes that came to an unfinished upload, or went.
CREATE FUNCTION {inner}.count_unfinished(upload uuid, bytes bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    bucket text;
    owner uuid;
    total bigint;
    quota bigint;
BEGIN
    IF bytes = 0 THEN
        RETURN;
    END IF;
    UPDATE {schema}.multipart_uploads u SET held_bytes = held_bytes + bytes WHERE u.id = upload
        RETURNING u.bucket_id, u.owner_id INTO bucket, owner;
    UPDATE {schema}.storage_buckets b SET unfinished_bytes = unfinished_bytes + bytes WHERE b.id = bucket
        RETURNING total_bytes + unfinished_bytes, quota_bytes INTO total, quota;
    PERFORM {inner}.hold_quota('bucket', total, quota, bytes);
    IF owner IS NOT NULL THEN
        INSERT INTO {schema}.storage_usage (user_id, last_calculated_at) VALUES (owner, now())
            ON CONFLICT (user_id) DO NOTHING;
        UPDATE {schema}.storage_usage SET unfinished_bytes = unfinished_bytes + bytes, updated_at = now()
            WHERE user_id = owner RETURNING total_bytes + unfinished_bytes, quota_bytes INTO total, quota;
        PERFORM {inner}.hold_quota('user', total, quota, bytes);
    END IF;
END
$$;

-- Forgets parts of an upload and queues their blobs: those of these numbers, or all.
CREATE FUNCTION {inner}.discard_parts(upload uuid, numbers integer[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    freed bigint;
BEGIN
    WITH gone AS (DELETE FROM {schema}.multipart_parts p WHERE p.upload_id = upload
            AND (numbers IS NULL OR p.number = ANY (numbers)) RETURNING p.blob_key, p.provider, p.size),
        queued AS (INSERT INTO {schema}.blob_deletions (blob_key, provider, size)
            SELECT g.blob_key, g.provider, g.size FROM gone g WHERE g.blob_key IS NOT NULL)
    SELECT coalesce(sum(size), 0)::bigint INTO freed FROM gone;
    PERFORM {inner}.count_unfinished(upload, -freed);
END
$$;

-- Gives an upload up.
CREATE FUNCTION {inner}.discard_upload(upload uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM {inner}.discard_parts(upload, NULL);
    DELETE FROM {schema}.resumable_uploads r WHERE r.upload_id = upload;
    DELETE FROM {schema}.multipart_uploads u WHERE u.id = upload;
END
$$;

-- Makes the parts of uploads the segments of a version, one upload after the other and each by number. They are counted as
-- the object's then, and not as unfinished.
CREATE FUNCTION {inner}.link_parts(object_version uuid, uploads uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {schema}.storage_segments (version, ordinal, "offset", size, sha256, provider, blob_key, bytes)
        SELECT object_version, row_number() OVER turn - 1, sum(p.size) OVER turn - p.size, p.size, p.sha256,
            p.provider, p.blob_key, p.bytes
        FROM unnest(uploads) WITH ORDINALITY AS u (id, turn) JOIN {schema}.multipart_parts p ON p.upload_id = u.id
        WHERE p.size > 0
        WINDOW turn AS (ORDER BY u.turn, p.number ROWS UNBOUNDED PRECEDING);
    DELETE FROM {schema}.multipart_parts p WHERE p.upload_id = ANY (uploads);
END
$$;

REVOKE ALL ON FUNCTION {inner}.count_unfinished(uuid, bigint), {inner}.discard_parts(uuid, integer[]),
    {inner}.discard_upload(uuid), {inner}.link_parts(uuid, uuid[]) FROM PUBLIC;
RESET ROLE;
