//! Texts that try to reach more than they may. Each is refused, where it can be with its place.

use serde_json::json;

use crate::sql::MAX_TEXT;
use crate::sql::query::parse;

#[track_caller]
fn refused(text: &str, reason: &str) {
    match parse(text, &[]) {
        Ok(query) => panic!("{text} was let in: {query:?}"),
        Err(fault) => assert!(fault.to_string().contains(reason), "{text}: {fault}"),
    }
}

#[track_caller]
fn refused_at(text: &str, (line, column): (u64, u64), reason: &str) {
    refused(text, reason);
    let position = parse(text, &[]).unwrap_err().position.unwrap_or_else(|| panic!("{text}: no place"));
    assert_eq!((position.line, position.column), (line, column), "{text}");
}

#[test]
fn statements_that_are_no_select() {
    for text in [
        "INSERT INTO storage_objects DEFAULT VALUES",
        "UPDATE storage_objects SET owner_id = current_user_id()",
        "DELETE FROM storage_objects",
        "DROP TABLE storage_objects",
        "CREATE TABLE x (a int)",
        "ALTER TABLE storage_objects DISABLE ROW LEVEL SECURITY",
        "GRANT ALL ON storage_objects TO anon",
        "SET ROLE service_role",
        "SET LOCAL request.jwt.claims = '{}'",
        "RESET ROLE",
        "BEGIN",
        "COMMIT",
        "ATTACH DATABASE '/etc/passwd' AS x",
        "DETACH x",
        "PRAGMA query_only = off",
        "VACUUM INTO '/tmp/copy'",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT 1",
        "COPY storage_objects TO '/tmp/x'",
        "COPY storage_objects TO PROGRAM 'id'",
        "CALL x()",
        "DO $$ BEGIN END $$",
        "EXECUTE x",
        "PREPARE x AS SELECT 1",
        "DECLARE c CURSOR FOR SELECT 1",
        "LISTEN x",
        "NOTIFY x",
        "LOAD 'x'",
        "LOCK TABLE storage_objects",
        "TRUNCATE storage_objects",
        "SHOW ALL",
        "VALUES (1)",
        "TABLE storage_objects",
        "(SELECT 1)",
        "FROM storage_objects",
        "/* SELECT */ DELETE FROM storage_objects",
        "-- SELECT 1\nDELETE FROM storage_objects",
        "\"SELECT\" 1",
        ";",
    ] {
        refused(text, "a query begins with SELECT");
    }
    refused("", "there is no query");
    refused(" /* nothing */ -- here", "there is no query");
    refused_at("\n  DELETE FROM storage_objects", (2, 3), "DELETE");
    refused_at("WITH x AS (SELECT 1) SELECT * FROM x", (1, 1), "WITH is not known");
    refused_at("WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT * FROM x) SELECT * FROM x", (1, 1), "WITH");
}

#[test]
fn more_than_one_statement() {
    refused_at("SELECT 1; SELECT 2", (1, 11), "");
    refused_at("SELECT 1; DROP TABLE storage_objects", (1, 11), "");
    refused("SELECT 1;;", "one statement at a time");
    refused("SELECT 1 /* ; */ ; --\n DELETE FROM storage_objects", "");
    refused("SELECT '1' 'x'; DELETE FROM storage_objects", "");
    parse("SELECT 1;", &[]).unwrap();
    parse("SELECT 1 -- ; DROP TABLE storage_objects", &[]).unwrap();
    parse("SELECT 1 /* /* nested */ ; DROP TABLE x */", &[]).unwrap();
}

#[test]
fn tables_that_are_not_the_callers() {
    for table in [
        "storage_segments",
        "blob_deletions",
        "storage_events",
        "storage_events_gone",
        "used_nonces",
        "storage_policies",
        "s3_credentials",
        "sqlite_master",
        "sqlite_schema",
        "sqlite_temp_master",
        "main.storage_objects",
        "temp.storage_objects",
        "main.sqlite_master",
        "pg_catalog.pg_class",
        "pg_class",
        "pg_authid",
        "pg_user",
        "pg_settings",
        "information_schema.tables",
        "auth.users",
        "aerostore.storage_segments",
        "public.storage_objects",
        "other.storage.objects",
        "\"storage_objects \"",
        "\"STORAGE_OBJECTS\"",
        "\"storage.objects\"",
        "computed",
        "t0_storage_objects",
        "\"storage_objects\"\"; DROP TABLE x; --\"",
    ] {
        refused(&format!("SELECT 1 FROM {table}"), "can't be queried");
        refused(&format!("SELECT 1 FROM storage_objects JOIN {table} ON true"), "can't be queried");
        refused(&format!("SELECT 1 FROM storage_objects, {table}"), "can't be queried");
    }
    refused_at("SELECT *\nFROM storage_objects o,\n     pg_class", (3, 6), "pg_class");
}

#[test]
fn tables_that_are_none() {
    for from in [
        "generate_series(1, 1000000000)",
        "generate_series(1, 10) AS g(x)",
        "pragma_table_info('storage_objects')",
        "json_each('[1]')",
        "unnest(ARRAY['a'])",
        "LATERAL (SELECT 1) x",
        "(SELECT 1) x",
        "(SELECT * FROM storage_objects) AS x",
        "(storage_objects JOIN storage_buckets ON true)",
        "(VALUES (1)) AS x",
        "ROWS FROM (generate_series(1, 2))",
        "storage_objects, LATERAL generate_series(1, 2)",
        "storage_objects TABLESAMPLE SYSTEM (1)",
        "storage_objects AS o (a, b)",
        "storage_objects FOR SYSTEM_TIME AS OF '2020-01-01'",
        "ONLY storage_objects",
        "dblink('x', 'y')",
        "pg_read_file('/etc/passwd')",
    ] {
        refused(&format!("SELECT 1 FROM {from}"), "");
    }
}

#[test]
fn clauses_that_are_not_known() {
    refused_at(
        "SELECT 1 FROM storage_objects UNION SELECT 2 FROM storage_objects",
        (1, 31),
        "only one SELECT",
    );
    refused("SELECT 1 UNION ALL SELECT 2", "only one SELECT");
    refused("SELECT 1 INTERSECT SELECT 2", "only one SELECT");
    refused("SELECT 1 EXCEPT SELECT 2", "only one SELECT");
    refused_at("SELECT * INTO x FROM storage_objects", (1, 10), "INTO is not known");
    refused_at("SELECT * FROM storage_objects FOR UPDATE", (1, 31), "locks nothing");
    refused("SELECT * FROM storage_objects FOR SHARE SKIP LOCKED", "locks nothing");
    refused("SELECT * FROM storage_objects FETCH FIRST 5 ROWS ONLY", "FETCH");
    refused("SELECT DISTINCT ON (path) path FROM storage_objects", "DISTINCT ON");
    refused("SELECT DISTINCT * FROM storage_objects", "can't tell values of jsonb apart");
    refused("SELECT path FROM storage_objects NATURAL JOIN storage_buckets", "a join takes a condition");
    refused("SELECT path FROM storage_objects JOIN storage_buckets USING (id)", "a join takes a condition");
    refused("SELECT path FROM storage_objects RIGHT JOIN storage_buckets ON true", "of joins");
    refused("SELECT path FROM storage_objects FULL JOIN storage_buckets ON true", "of joins");
    refused("SELECT count(*) OVER () FROM storage_objects", "window functions");
    refused("SELECT row_number() OVER (ORDER BY path) FROM storage_objects", "");
    refused("SELECT 1 FROM storage_objects WINDOW w AS (ORDER BY path)", "window functions");
    refused("SELECT count(*) FILTER (WHERE size > 1) FROM storage_objects", "FILTER");
    refused("SELECT path FROM storage_objects GROUP BY ROLLUP (path)", "");
    refused("SELECT path FROM storage_objects GROUP BY GROUPING SETS ((path))", "");
    refused("SELECT path FROM storage_objects ORDER BY path USING <", "");
    refused("SELECT path FROM storage_objects LIMIT (SELECT count(*) FROM storage_objects)", "");
    refused("SELECT path FROM storage_objects LIMIT size", "");
    refused("SELECT path FROM storage_objects LIMIT -1", "negative");
    refused("SELECT path FROM storage_objects LIMIT 1.5", "whole number");
    refused("SELECT * EXCLUDE (path) FROM storage_objects", "");
    refused("SELECT TOP 5 path FROM storage_objects", "");
}

#[test]
fn functions_and_columns_that_are_not_known() {
    for call in [
        "set_config('role', 'service_role', true)",
        "set_config('request.jwt.claims', '{\"role\": \"service_role\"}', false)",
        "current_setting('request.jwt.claims')",
        "pg_sleep(10)",
        "pg_read_file('/etc/passwd')",
        "pg_ls_dir('.')",
        "lo_import('/etc/passwd')",
        "pg_terminate_backend(1)",
        "query_to_xml('SELECT 1', true, false, '')",
        "dblink_exec('x')",
        "version()",
        "current_user",
        "session_user",
        "load_extension('x')",
        "readfile('/etc/passwd')",
        "writefile('/tmp/x', 'y')",
        "randomblob(1000000000)",
        "zeroblob(1000000000)",
        "printf('%.1000000000c', 'x')",
        "replicate('x', 1000000)",
        "repeat('x', 1000000000)",
        "lpad('x', 1000000000)",
        "aerostore_evaluate('1', '{}')",
        "aerostore_sum(1)",
        "pg_catalog.set_config('role', 'service_role', true)",
        "pg_catalog.lower(path)",
        "\"LOWER\"(path)",
        "sqlite_version()",
        "hex(checksum)",
        "string_agg(path, ',')",
        "array_agg(path)",
        "json_agg(path)",
        "group_concat(path)",
        "row_to_json(storage_objects)",
        "storage_objects",
        "storage_objects.oid",
        "ctid",
        "xmin",
        "tableoid",
        "rowid",
        "_rowid_",
        "uuid",
        "blob_key",
        "bytes",
        "(SELECT path FROM storage_objects)",
        "EXISTS (SELECT 1)",
        "path IN (SELECT path FROM storage_objects)",
        "ARRAY(SELECT path FROM storage_objects)",
        "path = ANY (SELECT path FROM storage_objects)",
        "path COLLATE \"de_DE\"",
        "path ~ '(a+)+$'",
        "path SIMILAR TO 'x'",
        "path::regclass",
        "'pg_class'::regclass",
        "path OPERATOR(pg_catalog.=) 'x'",
        "U&'\\0061'",
        "x'6162'",
        "b'01'",
        "?",
        ":role",
        ":uid",
        "@x",
        "$role",
        "CAST(path AS xml)",
        "(path).x",
        "path AT TIME ZONE 'UTC'",
        "EXTRACT(year FROM created_at)",
    ] {
        refused(&format!("SELECT {call} FROM storage_objects"), "");
        refused(&format!("SELECT 1 FROM storage_objects WHERE {call} IS NOT NULL"), "");
        refused(&format!("SELECT 1 FROM storage_objects ORDER BY {call}"), "");
        refused(&format!("SELECT max({call}) FROM storage_objects"), "");
    }
    refused_at("SELECT path,\n  pg_sleep(1)\nFROM storage_objects", (2, 3), "pg_sleep");
    refused_at("SELECT uuid FROM storage_buckets", (1, 8), "does not exist");
}

#[test]
fn texts_that_are_too_much() {
    refused(&format!("SELECT '{}'", "x".repeat(MAX_TEXT)), "longer than");
    refused(&"SELECT 1 ".repeat(150_000), "longer than");
    refused(&format!("SELECT {}1{}", "(".repeat(100), ")".repeat(100)), "nested too deeply");
    refused(&format!("SELECT {}true", "NOT ".repeat(500)), "");
    refused(&format!("SELECT 1 FROM storage_objects WHERE size IN ({}1)", "1,".repeat(5000)), "more than");
    refused(&format!("SELECT {}", vec!["size"; 900].join(" + ")), "");
    refused("SELECT 'a\0b'", "NUL");
    refused("SELECT E'a\\000b'", "");
    let tables: Vec<_> = (0..9).map(|at| format!("storage_objects t{at}")).collect();
    refused(&format!("SELECT 1 FROM {}", tables.join(", ")), "at most 8 tables");
    let outputs: Vec<_> = (0..201).map(|at| format!("size AS s{at}")).collect();
    refused(&format!("SELECT {} FROM storage_objects", outputs.join(", ")), "at most 200 columns");
    let sums: Vec<_> = (0..65).map(|at| format!("sum(size + {at}) AS s{at}")).collect();
    refused(&format!("SELECT {} FROM storage_objects", sums.join(", ")), "at most 64");
}

#[test]
fn parameters_of_the_wrong_form() {
    let check = |text: &str, parameters: serde_json::Value, reason: &str| {
        let parameters = parameters.as_array().unwrap().clone();
        let text = format!("SELECT path FROM storage_objects WHERE {text}");
        match parse(&text, &parameters) {
            Ok(_) => assert_eq!(reason, "", "{text} was let in"),
            Err(fault) => {
                assert!(!reason.is_empty() && fault.to_string().contains(reason), "{text}: {fault}");
            }
        }
    };
    check("path = $1", json!(["'; DROP TABLE storage_objects; --"]), "");
    check("size = $1", json!(["12"]), "");
    check("size = $1", json!([12]), "");
    check("owner_id = $1", json!([null]), "");
    check("path = ANY ($1)", json!([["a", null]]), "");
    check("size > $1 AND size < $2 LIMIT $3", json!([1, 2, 3]), "");
    check("size = $1", json!(["twelve"]), "invalid input syntax for type bigint");
    check("size = $1", json!([true]), "operator does not exist");
    check("path = $1", json!([5]), "operator does not exist");
    check("owner_id = $1", json!(["nobody"]), "invalid input syntax for type uuid");
    check("created_at > $1", json!(["yesterday"]), "timestamp");
    check("path = $1", json!([]), "there is no parameter $1");
    check("path = $2", json!(["a"]), "there is no parameter $2");
    check("path = $0", json!(["a"]), "there is no parameter $0");
    check("path = $1", json!(["a", "b"]), "the parameter $2 is not used");
    check("path = '$1'", json!(["a"]), "the parameter $1 is not used");
    check("path = $1", json!(["a\0b"]), "NUL");
    check("path = ANY ($1)", json!([[1, 2]]), "no array of texts");
    check("size = $1", json!([1e300]), "another form");
    check("path = $1 LIMIT $2", json!(["a", "x"]), "LIMIT");
    check("path IN ($1)", json!(["a') OR true --"]), "");
}
