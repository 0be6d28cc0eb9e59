DROP TABLE blob_deletions;
DROP TABLE storage_usage;
DROP TABLE storage_segments;
DROP TABLE storage_objects;
DROP TABLE storage_buckets;
