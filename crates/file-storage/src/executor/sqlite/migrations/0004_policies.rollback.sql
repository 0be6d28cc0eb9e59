DROP TABLE storage_policies;
