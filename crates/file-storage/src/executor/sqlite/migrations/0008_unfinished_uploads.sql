-- How many uploads a caller has unfinished is bounded; and one that began by a single-use token goes on by that one alone.

ALTER TABLE multipart_uploads ADD COLUMN ended INTEGER NOT NULL DEFAULT 0 CHECK (ended IN (0, 1));
ALTER TABLE multipart_uploads ADD COLUMN nonce TEXT CHECK (length(nonce) = 36);
UPDATE multipart_uploads SET ended = 1
    WHERE id IN (SELECT upload_id FROM resumable_uploads WHERE completed_at IS NOT NULL);
CREATE INDEX multipart_uploads_unfinished ON multipart_uploads (bucket_id, role, owner_id) WHERE ended = 0;
