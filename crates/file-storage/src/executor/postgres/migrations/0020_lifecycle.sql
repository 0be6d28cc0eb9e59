-- Rules that let old files go, and what is remembered of them.

-- What a rule says is one document, which the server alone reads.
CREATE TABLE {schema}.lifecycle_rules (
    id         uuid             NOT NULL PRIMARY KEY,
    bucket_id  text COLLATE "C" NOT NULL REFERENCES {schema}.storage_buckets (id) ON DELETE CASCADE,
    source     text             NOT NULL CHECK (source IN ('api', 's3')),
    name       text COLLATE "C"          CHECK (length(name) >= 1),
    spec       jsonb            NOT NULL CHECK (jsonb_typeof(spec) = 'object'),
    created_at timestamptz      NOT NULL,
    updated_at timestamptz      NOT NULL
);

-- Names are a matter of who gives them. What has none is in nobody's way.
CREATE UNIQUE INDEX lifecycle_rules_by_name ON {schema}.lifecycle_rules (bucket_id, source, name);

-- Which objects were told of, and when. Those of objects that are gone are forgotten by each run.
CREATE TABLE {schema}.lifecycle_warnings (
    version   uuid        NOT NULL,
    rule_id   uuid        NOT NULL,
    due_at    timestamptz NOT NULL,
    warned_at timestamptz NOT NULL,
    PRIMARY KEY (version, rule_id)
);

-- One row, or none: when somebody last looked at the clock, until when rules wait as it has leapt, and which run was the last.
CREATE TABLE {schema}.lifecycle_state (
    id         integer NOT NULL PRIMARY KEY CHECK (id = 1),
    seen_at    timestamptz,
    held_until timestamptz,
    turn_at    timestamptz
);

DO $$
DECLARE
    one text;
BEGIN
    FOREACH one IN ARRAY ARRAY['lifecycle_rules', 'lifecycle_warnings', 'lifecycle_state'] LOOP
        EXECUTE format('ALTER TABLE {schema}.%I ENABLE ROW LEVEL SECURITY', one);
        EXECUTE format('ALTER TABLE {schema}.%I FORCE ROW LEVEL SECURITY', one);
        EXECUTE format('CREATE POLICY keeper ON {schema}.%I TO aerostore_keeper USING (true)', one);
        EXECUTE format('GRANT ALL ON {schema}.%I TO aerostore_keeper', one);
    END LOOP;
END
$$;

-- Archiving is one more reason why a blob is to be elsewhere.
DO $$
DECLARE
    kept text;
    words text;
BEGIN
    SELECT c.conname, pg_get_constraintdef(c.oid) INTO STRICT kept, words FROM pg_constraint c
        WHERE c.conrelid = '{schema}.upload_queue'::regclass AND c.contype = 'c'
        AND pg_get_constraintdef(c.oid) LIKE '%''migration''%';
    EXECUTE format('ALTER TABLE {schema}.upload_queue DROP CONSTRAINT %I', kept);
    EXECUTE format('ALTER TABLE {schema}.upload_queue ADD CONSTRAINT %I %s', kept,
        replace(words, '''migration''::text', '''migration''::text, ''archive''::text'));
END
$$;
