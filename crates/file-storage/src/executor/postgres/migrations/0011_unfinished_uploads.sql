-- How many uploads a caller has unfinished is bounded; and one that began by a single-use token goes on by that one alone.

ALTER TABLE {schema}.multipart_uploads ADD COLUMN ended boolean NOT NULL DEFAULT false;
ALTER TABLE {schema}.multipart_uploads ADD COLUMN nonce uuid;
SET LOCAL ROLE aerostore_keeper;
UPDATE {schema}.multipart_uploads SET ended = true
    WHERE id IN (SELECT upload_id FROM {schema}.resumable_uploads WHERE completed_at IS NOT NULL);
RESET ROLE;
CREATE INDEX multipart_uploads_unfinished ON {schema}.multipart_uploads (bucket_id, role, owner_id) WHERE NOT ended;
