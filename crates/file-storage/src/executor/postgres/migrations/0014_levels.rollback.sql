DROP FUNCTION {schema}.list_level(text, text, text, integer, text, boolean, bigint, bigint);
