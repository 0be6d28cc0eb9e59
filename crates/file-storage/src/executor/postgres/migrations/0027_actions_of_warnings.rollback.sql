ALTER TABLE {schema}.lifecycle_warnings DROP COLUMN action;
