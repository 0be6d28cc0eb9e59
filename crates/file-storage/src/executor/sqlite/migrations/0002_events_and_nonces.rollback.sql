DROP TABLE used_nonces;
DROP TABLE storage_events;
