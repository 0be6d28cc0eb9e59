DROP TABLE {schema}.storage_policies;
DROP TABLE {schema}.upload_queue;
DROP FUNCTION {inner}.upload_queue_status();
