DROP TABLE {schema}.storage_webhooks;
