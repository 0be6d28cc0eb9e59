DROP INDEX {schema}.multipart_uploads_unfinished;
ALTER TABLE {schema}.multipart_uploads DROP COLUMN nonce;
ALTER TABLE {schema}.multipart_uploads DROP COLUMN ended;
