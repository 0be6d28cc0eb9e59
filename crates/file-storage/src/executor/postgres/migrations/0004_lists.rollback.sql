DROP FUNCTION {schema}.list_entries(text, text, text, text, integer, boolean, boolean, bigint, bigint);
DROP FUNCTION {schema}.next_match(text, text);
