SET LOCAL ROLE aerostore_keeper;
DELETE FROM {schema}.jobs WHERE kind = 'adopt';
RESET ROLE;
ALTER TABLE {schema}.jobs DROP CONSTRAINT jobs_kind_check;
ALTER TABLE {schema}.jobs ADD CONSTRAINT jobs_kind_check
    CHECK (kind IN ('delete_folder', 'move_folder', 'copy_folder', 'scrub', 'lifecycle'));
