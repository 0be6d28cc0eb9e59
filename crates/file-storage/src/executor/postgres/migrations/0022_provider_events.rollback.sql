-- What happened to providers is forgotten.
ALTER TABLE {schema}.storage_events DROP CONSTRAINT storage_events_of_providers;
SET LOCAL ROLE aerostore_keeper;
DELETE FROM {schema}.storage_events WHERE bucket_id IS NULL;
RESET ROLE;
ALTER TABLE {schema}.storage_events ALTER COLUMN bucket_id SET NOT NULL;
