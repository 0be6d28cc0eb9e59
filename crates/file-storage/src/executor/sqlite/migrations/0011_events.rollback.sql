DROP INDEX storage_events_of_ends;
DROP TABLE storage_events_gone;
