-- The queue of segments that are not yet where they belong, and the policies that people write in SQL.

-- A user sees what is queued in their own name; what has no user is the server's. No secret and nobody else's path
-- is ever in here.
CREATE TABLE {schema}.upload_queue (
    id              uuid        NOT NULL PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id         uuid,
    bucket_id       text COLLATE "C" NOT NULL,
    file_name       text        NOT NULL,
    file_size_bytes bigint      NOT NULL CHECK (file_size_bytes >= 0),
    mime_type       text        NOT NULL,
    storage_path    text COLLATE "C" NOT NULL,
    target_provider text        NOT NULL,
    status          text        NOT NULL DEFAULT 'pending'
                                CHECK (status IN ('pending', 'in_progress', 'completed', 'failed')),
    attempt_count   integer     NOT NULL DEFAULT 0 CHECK (attempt_count >= 0),
    max_attempts    integer     NOT NULL DEFAULT 5 CHECK (max_attempts >= 1),
    error_message   text,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    leased_by       uuid,
    leased_until    timestamptz,
    queued_at       timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    completed_at    timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CHECK (attempt_count <= max_attempts),
    CHECK (status <> 'in_progress' OR started_at IS NOT NULL),
    CHECK ((status IN ('completed', 'failed')) = (completed_at IS NOT NULL)),
    CHECK ((leased_by IS NULL) = (leased_until IS NULL)),
    CHECK (leased_by IS NULL OR status = 'in_progress')
);

CREATE INDEX upload_queue_by_turn ON {schema}.upload_queue (next_attempt_at) WHERE status = 'pending';
CREATE INDEX upload_queue_by_lease ON {schema}.upload_queue (leased_until) WHERE status = 'in_progress';
CREATE INDEX upload_queue_by_user ON {schema}.upload_queue (user_id, queued_at DESC);
CREATE INDEX upload_queue_failed ON {schema}.upload_queue (completed_at) WHERE status = 'failed';

-- Every entry begins as pending. A worker takes it, and completes it, fails it, or gives it back; what has failed
-- may be queued again, and what waits may be given up. What is completed stays so.
CREATE FUNCTION {inner}.upload_queue_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND NEW.status <> 'pending' OR TG_OP = 'UPDATE' AND NEW.status <> OLD.status
        AND (OLD.status, NEW.status) NOT IN (('pending', 'in_progress'), ('pending', 'failed'),
            ('in_progress', 'completed'), ('in_progress', 'failed'), ('in_progress', 'pending'),
            ('failed', 'pending'))
    THEN
        RAISE EXCEPTION 'an upload does not go from % to %',
            CASE WHEN TG_OP = 'INSERT' THEN 'nothing' ELSE OLD.status END, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    IF TG_OP = 'UPDATE' THEN
        NEW.updated_at := now();
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION {inner}.upload_queue_status() FROM PUBLIC;

CREATE TRIGGER upload_queue_status BEFORE INSERT OR UPDATE ON {schema}.upload_queue
    FOR EACH ROW EXECUTE FUNCTION {inner}.upload_queue_status();

-- Policies in SQL, as they were given. What enforces them are native policies of the same name.
CREATE TABLE {schema}.storage_policies (
    name             text        NOT NULL PRIMARY KEY CHECK (octet_length(name) BETWEEN 1 AND 63),
    command          text        NOT NULL CHECK (command IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'ALL')),
    permissive       boolean     NOT NULL,
    roles            text[]      NOT NULL CHECK (roles <@ ARRAY['anon', 'authenticated']),
    using_expression text,
    check_expression text,
    definition       text        NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE {schema}.upload_queue ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.upload_queue FORCE ROW LEVEL SECURITY;
ALTER TABLE {schema}.storage_policies ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.storage_policies FORCE ROW LEVEL SECURITY;
CREATE POLICY keeper ON {schema}.upload_queue TO aerostore_keeper USING (true);
CREATE POLICY service ON {schema}.upload_queue TO service_role USING (true);
CREATE POLICY keeper ON {schema}.storage_policies TO aerostore_keeper USING (true);
CREATE POLICY service ON {schema}.storage_policies TO service_role USING (true);
CREATE POLICY queue_read ON {schema}.upload_queue FOR SELECT TO authenticated
    USING ((SELECT {schema}.role()) = 'authenticated' AND user_id = (SELECT {schema}.current_user_id()));

GRANT ALL ON {schema}.upload_queue, {schema}.storage_policies TO aerostore_keeper;
GRANT SELECT ON {schema}.upload_queue TO anon, authenticated, service_role;
GRANT SELECT ON {schema}.storage_policies TO service_role;
