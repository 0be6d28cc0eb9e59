-- Receivers of events: what each wants, where it stands, and how its last attempts went. Secrets are sealed under the server's
-- master key; the one before the last rotation signs as well for a while. Who has the lease delivers, and nobody else.
CREATE TABLE {schema}.storage_webhooks (
    id              uuid             NOT NULL PRIMARY KEY,
    url             text             NOT NULL,
    kinds           text[]           NOT NULL,
    bucket_id       text COLLATE "C",
    prefix          text COLLATE "C" NOT NULL,
    status          text             NOT NULL CHECK (status IN ('active', 'disabled', 'paused', 'gone')),
    position        bigint           NOT NULL CHECK (position >= 0),
    attempts        integer          NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt_at timestamptz,
    last_success_at timestamptz,
    last_error      text,
    last_error_at   timestamptz,
    sealed_secret   text             NOT NULL,
    sealed_previous text,
    previous_until  timestamptz,
    leased_by       uuid,
    leased_until    timestamptz,
    created_at      timestamptz      NOT NULL,
    updated_at      timestamptz      NOT NULL
);

-- The keeper's alone: no user reads or writes it.
ALTER TABLE {schema}.storage_webhooks ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.storage_webhooks FORCE ROW LEVEL SECURITY;
CREATE POLICY keeper ON {schema}.storage_webhooks TO aerostore_keeper USING (true);
GRANT ALL ON {schema}.storage_webhooks TO aerostore_keeper;
