//! What is let in, and what becomes of it.

use serde_json::json;

use crate::sql::query::{average, parse, postgres};

fn shown(text: &str) -> String {
    postgres(&parse(text, &[]).unwrap_or_else(|fault| panic!("{text}: {fault}")), "aerostore", 10)
}

fn names(text: &str) -> Vec<String> {
    let query = parse(text, &[]).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    query.outputs.iter().map(|output| format!("{} {}", output.name, output.expr.ty())).collect()
}

#[test]
fn a_query_is_rendered_anew() {
    let text = "select Name, \"size\" as s from storage.objects O where o.bucket_id = 'it''s' order by 2 desc limit 5";
    let wanted = "SELECT q.c0::text, q.c1::text FROM (SELECT t0.\"path\" AS c0, t0.\"size\" AS c1 \
        FROM \"aerostore\".\"storage_objects\" AS t0 WHERE (t0.\"bucket_id\" = 'it''s'::text) \
        ORDER BY t0.\"size\" DESC NULLS FIRST, (t0.\"bucket_id\" COLLATE \"C\"), (t0.\"path\" COLLATE \"C\") \
        LIMIT 10 OFFSET 0) AS q";
    assert_eq!(shown(text), wanted);
    let grouped =
        shown("SELECT bucket_id, sum(size) FROM objects GROUP BY 1 HAVING count(*) > 1 ORDER BY sum(size)");
    assert!(
        grouped.contains("GROUP BY 1) AS v WHERE (v.v2 > '1'::bigint) ORDER BY v.v1 NULLS LAST"),
        "{grouped}"
    );
}

#[test]
fn columns_have_names_and_types() {
    let check = |text: &str, wanted: &[&str]| assert_eq!(names(text), wanted, "{text}");
    check("SELECT 1 + 1, 'a' AS b", &["?column? integer", "b text"]);
    check(
        "SELECT now(), auth.uid(), current_user_id()",
        &["now timestamptz", "uid uuid", "current_user_id uuid"],
    );
    check("SELECT count(*), max(path), avg(size) FROM objects", &["count bigint", "max text", "avg numeric"]);
    check("SELECT sum(size), sum(length(path)) AS l FROM objects", &["sum numeric", "l bigint"]);
    check("SELECT o.name, size::text FROM objects o", &["name text", "size text"]);
    check("SELECT coalesce(sum(size), 0) FROM objects", &["coalesce numeric"]);
    check(
        "SELECT metadata -> 'a' AS a, storage.foldername(name) AS f FROM objects",
        &["a jsonb", "f text[]"],
    );
    check("SELECT CASE WHEN size > 1 THEN 'a' END FROM objects", &["case text"]);
    assert_eq!(names("SELECT * FROM storage_objects").len(), 13);
    assert_eq!(names("SELECT b.* FROM storage_objects o JOIN buckets b ON b.id = o.bucket_id").len(), 10);
    let fault = parse("SELECT * FROM objects o JOIN buckets b ON b.id = o.bucket_id", &[]).unwrap_err();
    assert!(fault.to_string().contains("two columns of the answer have the name"), "{fault}");
}

#[test]
fn gathered_rows_have_keys_and_aggregates_only() {
    let taken = |text: &str| drop(parse(text, &[]).unwrap_or_else(|fault| panic!("{text}: {fault}")));
    let refused = |text: &str, reason: &str| {
        let fault = parse(text, &[]).unwrap_err().to_string();
        assert!(fault.contains(reason), "{text}: {fault}");
    };
    taken("SELECT lower(path), count(*) FROM objects GROUP BY lower(path)");
    taken("SELECT lower(path) || '!' FROM objects GROUP BY lower(path)");
    taken("SELECT lower(path) AS l, count(*) FROM objects GROUP BY l ORDER BY count(*) DESC, l");
    taken("SELECT count(*) FROM objects HAVING count(*) > 0");
    taken("SELECT 1 FROM objects GROUP BY path");
    taken("SELECT sum(size) / 1 FROM objects".replace(" / 1", " * 2").as_str());
    taken("SELECT count(DISTINCT owner_id), min(created_at) FROM objects");
    taken("SELECT bucket_id FROM objects GROUP BY bucket_id HAVING avg(size) > 1.5 OR sum(size) > 100");
    refused("SELECT path, count(*) FROM objects", "must appear in the GROUP BY clause");
    refused("SELECT path FROM objects GROUP BY lower(path)", "must appear in the GROUP BY clause");
    refused("SELECT count(*) FROM objects ORDER BY path", "must appear in the GROUP BY clause");
    refused("SELECT * FROM objects HAVING size > 1", "must appear in the GROUP BY clause");
    refused("SELECT path FROM objects WHERE count(*) > 1", "can't stand here");
    refused("SELECT path FROM objects GROUP BY count(*)", "can't stand here");
    refused("SELECT sum(count(*)) FROM objects", "can't stand here");
    refused("SELECT o.path FROM objects o JOIN buckets b ON max(o.size) > 1", "can't stand here");
    refused("SELECT sum(path) FROM objects", "sum of text");
    refused("SELECT avg(size * 1.5) FROM objects", "avg of numeric");
    refused("SELECT min(owner_id) FROM objects", "min of uuid");
    refused("SELECT count(metadata) FROM objects", "count of jsonb");
    refused("SELECT avg(size) / 2 FROM objects", "can't be divided");
    refused("SELECT avg(size) + 1 FROM objects", "digits");
    refused("SELECT 1 FROM objects GROUP BY 'a'", "constant");
    refused("SELECT 1 FROM objects GROUP BY 7", "no column 7");
    refused("SELECT metadata FROM objects GROUP BY metadata", "gathered by jsonb");
    refused("SELECT metadata FROM objects ORDER BY 1", "no order");
    refused("SELECT DISTINCT path FROM objects ORDER BY size", "must appear in the list");
    refused("SELECT path FROM objects, objects", "more than once");
    refused("SELECT id FROM objects o, buckets b", "ambiguous");
    refused("SELECT objects.id FROM objects o", "does not exist");
}

#[test]
fn averages_have_postgresqls_digits() {
    let check =
        |sum: i128, count: u64, text: &str| assert_eq!(average(sum, count).unwrap().to_string(), text);
    check(3, 2, "1.5000000000000000");
    check(1, 3, "0.33333333333333333333");
    check(-2, 3, "-0.66666666666666666667");
    check(0, 5, "0.00000000000000000000");
    check(10_000, 1, "10000.0000000000000000");
    check(i128::from(i64::MAX), 1, "9223372036854775807");
    check(1, 20_000, "0.000050000000000000000000");
    assert_eq!(average(1, 0), None);
}

#[test]
fn parameters_take_the_type_beside_them() {
    let text =
        "SELECT path FROM objects WHERE owner_id = $1 AND size > $2 AND created_at < $3 AND path = ANY ($4)";
    let parameters =
        [json!("00000000-0000-0000-0000-000000000001"), json!("5"), json!("2026-01-31"), json!(["a", "b"])];
    let query = postgres(&parse(text, &parameters).unwrap(), "s", 1);
    for part in
        ["'00000000-0000-0000-0000-000000000001'::uuid", "'5'::bigint", "::timestamptz", "ARRAY['a'::text"]
    {
        assert!(query.contains(part), "{part} in {query}");
    }
    assert!(!query.contains('$'), "{query}");
}
