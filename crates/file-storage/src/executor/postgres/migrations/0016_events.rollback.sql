DROP TABLE {schema}.storage_events_gone;
DROP INDEX {schema}.storage_events_of_ends;
DROP INDEX {schema}.storage_events_without_position;
DROP INDEX {schema}.storage_events_by_position;
ALTER TABLE {schema}.storage_events DROP COLUMN position;
