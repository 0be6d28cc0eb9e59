-- Buckets, objects, the segments that objects are made of, who uses how much, and what the server keeps for itself
-- (SPEC 4). {schema} and {inner} stand for the schema's name, and for that of the schema that no user may enter.
-- Names and paths are in byte order, whatever the database's own collation is.

-- What only policies and bookkeeping look at. Its owner is the keeper: the role that changes rows in nobody's name.
CREATE SCHEMA {inner} AUTHORIZATION aerostore_keeper;
GRANT USAGE, CREATE ON SCHEMA {schema} TO aerostore_keeper;

-- Pages have room for the next counter beside the last one: a bucket's row changes with every write into it.
CREATE TABLE {schema}.storage_buckets (
    id                 text COLLATE "C" NOT NULL PRIMARY KEY CHECK (octet_length(id) BETWEEN 1 AND 100),
    uuid               uuid             NOT NULL UNIQUE,
    owner_id           uuid,
    policy             text             NOT NULL DEFAULT 'private'
                                        CHECK (policy IN ('public', 'authenticated', 'private')),
    allowed_mime_types text[],
    max_file_size      bigint           NOT NULL DEFAULT 0 CHECK (max_file_size >= 0),
    quota_bytes        bigint                    CHECK (quota_bytes >= 0),
    file_count         bigint           NOT NULL DEFAULT 0 CHECK (file_count >= 0),
    total_bytes        bigint           NOT NULL DEFAULT 0 CHECK (total_bytes >= 0),
    created_at         timestamptz      NOT NULL DEFAULT now(),
    updated_at         timestamptz      NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE {schema}.storage_objects (
    id            uuid             NOT NULL UNIQUE,
    bucket_id     text COLLATE "C" NOT NULL REFERENCES {schema}.storage_buckets (id),
    path          text COLLATE "C" NOT NULL CHECK (octet_length(path) BETWEEN 1 AND 1024),
    size          bigint           NOT NULL CHECK (size >= 0),
    content_type  text             NOT NULL,
    cache_control text,
    checksum      text             NOT NULL CHECK (length(checksum) = 64),
    etag          text             NOT NULL,
    owner_id      uuid,
    metadata      jsonb            NOT NULL DEFAULT '{}',
    version       uuid             NOT NULL UNIQUE,
    created_at    timestamptz      NOT NULL DEFAULT now(),
    updated_at    timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (bucket_id, path)
);

-- "My rows in this bucket", in the order of lists: where rows decide, a list costs what it shows.
CREATE INDEX storage_objects_by_owner ON {schema}.storage_objects (owner_id, bucket_id, path)
    WHERE owner_id IS NOT NULL;

-- A version has its segments or is gone by the end of the transaction: between its statements it may be otherwise.
CREATE TABLE {schema}.storage_segments (
    version  uuid    NOT NULL REFERENCES {schema}.storage_objects (version) DEFERRABLE INITIALLY DEFERRED,
    ordinal  integer NOT NULL CHECK (ordinal >= 0),
    "offset" bigint  NOT NULL CHECK ("offset" >= 0),
    size     bigint  NOT NULL CHECK (size >= 0),
    sha256   text    NOT NULL CHECK (length(sha256) = 64),
    provider text,
    blob_key text COLLATE "C",
    bytes    bytea            CHECK (octet_length(bytes) = size),
    PRIMARY KEY (version, ordinal),
    CHECK ((bytes IS NULL) = (blob_key IS NOT NULL)),
    CHECK ((provider IS NULL) = (blob_key IS NULL))
);

-- What users store is mostly compressed already.
ALTER TABLE {schema}.storage_segments ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- A blob is part of one segment only, so that a segment that goes may take its blob along.
CREATE UNIQUE INDEX storage_segments_by_blob ON {schema}.storage_segments (blob_key) WHERE blob_key IS NOT NULL;

CREATE TABLE {schema}.storage_usage (
    id                 uuid        NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    user_id            uuid        NOT NULL PRIMARY KEY,
    total_bytes        bigint      NOT NULL DEFAULT 0 CHECK (total_bytes >= 0),
    file_count         bigint      NOT NULL DEFAULT 0 CHECK (file_count >= 0),
    quota_bytes        bigint               CHECK (quota_bytes >= 0),
    last_calculated_at timestamptz,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- Refers to nothing: a blob waits for its deletion also when its bucket is gone. A process claims what it is about
-- to delete, so that others take what is left.
CREATE TABLE {schema}.blob_deletions (
    blob_key      text COLLATE "C" NOT NULL PRIMARY KEY,
    provider      text             NOT NULL,
    size          bigint           NOT NULL CHECK (size >= 0),
    attempts      integer          NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    queued_at     timestamptz      NOT NULL DEFAULT now(),
    claimed_by    uuid,
    claimed_until timestamptz
);

CREATE INDEX blob_deletions_by_turn ON {schema}.blob_deletions (attempts, queued_at);

-- What happened, written in the transaction in which it did.
CREATE TABLE {schema}.storage_events (
    sequence   bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         uuid             NOT NULL DEFAULT gen_random_uuid(),
    kind       text             NOT NULL,
    bucket_id  text COLLATE "C" NOT NULL,
    path       text COLLATE "C",
    owner_id   uuid,
    payload    jsonb            NOT NULL,
    created_at timestamptz      NOT NULL DEFAULT now()
);

-- The single-use tokens that were used.
CREATE TABLE {schema}.used_nonces (
    nonce      uuid        NOT NULL PRIMARY KEY,
    expires_at timestamptz NOT NULL
);

CREATE INDEX used_nonces_by_expiry ON {schema}.used_nonces (expires_at);

GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO aerostore_keeper;
REVOKE ALL ON {schema}.schema_migrations FROM aerostore_keeper;
GRANT SELECT ON {schema}.schema_migrations TO aerostore_keeper;
