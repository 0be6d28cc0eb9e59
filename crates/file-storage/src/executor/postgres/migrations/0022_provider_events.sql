-- What happens to providers is told, too. It is about no bucket, and nothing else is about none.
ALTER TABLE {schema}.storage_events ALTER COLUMN bucket_id DROP NOT NULL;
ALTER TABLE {schema}.storage_events ADD CONSTRAINT storage_events_of_providers
    CHECK ((bucket_id IS NULL) = starts_with(kind, 'storage.provider.') AND (bucket_id IS NOT NULL OR path IS NULL AND owner_id IS NULL));
