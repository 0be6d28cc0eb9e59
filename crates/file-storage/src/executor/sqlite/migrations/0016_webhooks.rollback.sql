DROP TABLE storage_webhooks;
