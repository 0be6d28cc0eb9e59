ALTER TABLE lifecycle_warnings DROP COLUMN action;
