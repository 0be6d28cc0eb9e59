DROP INDEX multipart_uploads_unfinished;
ALTER TABLE multipart_uploads DROP COLUMN nonce;
ALTER TABLE multipart_uploads DROP COLUMN ended;
