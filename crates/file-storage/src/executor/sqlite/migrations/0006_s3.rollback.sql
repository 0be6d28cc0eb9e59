DROP TABLE s3_credentials;
ALTER TABLE multipart_uploads DROP COLUMN extra;
ALTER TABLE storage_buckets DROP COLUMN extra;
ALTER TABLE storage_objects DROP COLUMN extra;
