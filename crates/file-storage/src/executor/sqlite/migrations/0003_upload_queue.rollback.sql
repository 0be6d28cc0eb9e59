DROP TABLE upload_queue;
