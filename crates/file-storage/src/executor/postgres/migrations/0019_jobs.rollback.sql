DROP TABLE {schema}.jobs;
DROP FUNCTION {inner}.jobs_status();
