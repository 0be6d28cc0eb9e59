-- Long work that somebody asked for, done in steps: whose rights it has, how far it is, and what came of it.

CREATE TABLE {schema}.jobs (
    id               uuid        NOT NULL PRIMARY KEY,
    kind             text        NOT NULL
                                 CHECK (kind IN ('delete_folder', 'move_folder', 'copy_folder', 'scrub', 'lifecycle')),
    caller           jsonb       NOT NULL,
    user_id          uuid,
    params           jsonb       NOT NULL,
    dry_run          boolean     NOT NULL,
    status           text        NOT NULL DEFAULT 'pending'
                                 CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    cancel_requested boolean     NOT NULL DEFAULT false,
    state            jsonb       NOT NULL DEFAULT 'null',
    done             bigint      NOT NULL DEFAULT 0 CHECK (done >= 0),
    bytes            bigint      NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    total            bigint               CHECK (total >= 0),
    failures         bigint      NOT NULL DEFAULT 0 CHECK (failures >= 0),
    report           jsonb       NOT NULL DEFAULT '{}',
    error            jsonb,
    leased_by        uuid,
    leased_until     timestamptz,
    attempts         integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    created_at       timestamptz NOT NULL DEFAULT now(),
    started_at       timestamptz,
    updated_at       timestamptz NOT NULL DEFAULT now(),
    completed_at     timestamptz,
    CHECK (status <> 'running' OR started_at IS NOT NULL),
    CHECK ((status IN ('completed', 'failed', 'cancelled')) = (completed_at IS NOT NULL)),
    CHECK ((leased_by IS NULL) = (leased_until IS NULL)),
    CHECK ((leased_by IS NOT NULL) = (status = 'running'))
);

-- Identities are in the order of time: the oldest is begun first, and lists begin with the newest.
CREATE INDEX jobs_by_turn ON {schema}.jobs (id) WHERE status IN ('pending', 'running');
CREATE INDEX jobs_by_status ON {schema}.jobs (status, id);
CREATE INDEX jobs_by_user ON {schema}.jobs (user_id, id);
CREATE INDEX jobs_by_end ON {schema}.jobs (completed_at) WHERE completed_at IS NOT NULL;

-- Every job begins as pending. A worker takes it and ends it, or gives it back; what has ended stays so.
CREATE FUNCTION {inner}.jobs_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND NEW.status <> 'pending' OR TG_OP = 'UPDATE' AND NEW.status <> OLD.status
        AND (OLD.status, NEW.status) NOT IN (('pending', 'running'), ('pending', 'cancelled'),
            ('running', 'pending'), ('running', 'completed'), ('running', 'failed'), ('running', 'cancelled'))
    THEN
        RAISE EXCEPTION 'a job does not go from % to %',
            CASE WHEN TG_OP = 'INSERT' THEN 'nothing' ELSE OLD.status END, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    IF TG_OP = 'UPDATE' THEN
        NEW.updated_at := now();
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION {inner}.jobs_status() FROM PUBLIC;

CREATE TRIGGER jobs_status BEFORE INSERT OR UPDATE ON {schema}.jobs
    FOR EACH ROW EXECUTE FUNCTION {inner}.jobs_status();

ALTER TABLE {schema}.jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.jobs FORCE ROW LEVEL SECURITY;
CREATE POLICY keeper ON {schema}.jobs TO aerostore_keeper USING (true);
CREATE POLICY service ON {schema}.jobs TO service_role USING (true);
CREATE POLICY job_read ON {schema}.jobs FOR SELECT TO authenticated
    USING ((SELECT {schema}.role()) = 'authenticated' AND user_id = (SELECT {schema}.current_user_id()));

-- In whose name a job runs, with which claims, and where it is: the keeper's to know.
GRANT ALL ON {schema}.jobs TO aerostore_keeper;
GRANT SELECT (id, kind, user_id, params, dry_run, status, cancel_requested, done, bytes, total, failures, report, error,
    attempts, created_at, started_at, updated_at, completed_at) ON {schema}.jobs TO anon, authenticated, service_role;
