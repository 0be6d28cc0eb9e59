//! What queries answer, and to whom.

use serde_json::json;

use super::rows::{Cell, Row, USERS, rows};
use super::{LIMITS, Subject, USER, service, user};
use crate::errors::StorageError;
use crate::permissions::RlsContext;
use crate::sql::query::QueryLimits;
use crate::sql::query::generate::query;
use crate::sql::tests::random::Random;

#[tokio::test]
async fn values_are_json_as_documented() {
    let subject = Subject::open();
    subject.keep(&rows(&mut Random(1)));
    let text = "SELECT true AS b, 1 AS i, 9223372036854775807 AS l, 1.50 AS n, 'a\"b' AS t, auth.uid() AS u, \
        timestamptz '2026-01-31 12:00:00.5+01' AS w, interval '-90 minutes' AS v, '{\"bb\": 1, \"a\": [2.50]}'::jsonb AS j, \
        ARRAY['x', NULL] AS a, NULL AS o";
    let answer = subject.ask(&service(), text, &[], LIMITS).await.unwrap();
    let wanted = concat!(
        r#"{"b":true,"i":1,"l":9223372036854775807,"n":"1.50","t":"a\"b","#,
        r#""u":"00000000-0000-0000-0000-0000000000a1","w":"2026-01-31T11:00:00.500000Z","v":"-01:30:00.000000","#,
        r#""j":{"a": [2.50], "bb": 1},"a":["x",null],"o":null}"#,
    );
    // What JSON's numbers were written like is not kept.
    assert_eq!(answer.rows, wanted.replace("2.50]", "2.5]"));
    let types: Vec<_> = answer.columns.iter().map(|(_, ty)| ty.to_string()).collect();
    let all = "boolean integer bigint numeric text uuid timestamptz interval jsonb text[] text";
    assert_eq!(types.join(" "), all);
    let buckets = subject.rows(&service(), "SELECT * FROM storage_buckets ORDER BY id LIMIT 1").await;
    assert_eq!(buckets[0]["id"], "avatars");
    assert!(buckets[0].get("uuid").is_none(), "{buckets}");
}

#[tokio::test]
async fn everybody_sees_their_own_rows_and_the_open_ones() {
    let subject = Subject::open();
    let mut random = Random(5);
    let rows = rows(&mut random);
    subject.keep(&rows);
    let text = |row: &Row, name: &str| match row.cells.iter().find(|(known, _)| *known == name) {
        Some((_, Cell::Text(text))) => Some(text.clone()),
        _ => None,
    };
    let bucket = |name: &str| {
        rows.iter().find(|row| row.table == "storage_buckets" && text(row, "id").as_deref() == Some(name))
    };
    for (context, who) in [
        (RlsContext::anon("test"), None),
        (user(USERS[0]), Some(USERS[0].to_string())),
        (user(USERS[1]), Some(USERS[1].to_string())),
    ] {
        let readable = |row: &&Row| {
            let home = bucket(&text(row, "bucket_id").unwrap()).unwrap();
            let policy = text(home, "policy").unwrap();
            policy == "public"
                || who.is_some()
                    && (policy == "authenticated"
                        || text(row, "owner_id") == who
                        || text(home, "owner_id") == who)
        };
        let objects = rows.iter().filter(|row| row.table == "storage_objects");
        let wanted = objects.filter(readable).count();
        let counted = subject.rows(&context, "SELECT count(*) AS n FROM storage_objects").await;
        assert_eq!(counted, json!([{ "n": wanted }]), "{who:?}");
        // By every other way, the same rows.
        for text in [
            "SELECT count(*) AS n FROM storage_objects WHERE true OR owner_id IS NOT NULL",
            "SELECT count(DISTINCT o.id) AS n FROM storage_objects o LEFT JOIN storage_usage u ON true",
            "SELECT count(DISTINCT o.id) AS n FROM storage_objects o CROSS JOIN storage_objects x",
        ] {
            let seen = subject.rows(&context, text).await;
            assert_eq!(seen, json!([{ "n": wanted }]), "{who:?}: {text}");
        }
        let usage = subject.rows(&context, "SELECT user_id FROM storage_usage").await;
        let own: Vec<_> = who.iter().map(|who| json!({ "user_id": who })).collect();
        assert_eq!(usage, json!(own));
    }
    let all = rows.iter().filter(|row| row.table == "storage_usage").count();
    assert_eq!(
        subject.rows(&service(), "SELECT count(*) AS n FROM storage_usage").await,
        json!([{ "n": all }])
    );
    assert_eq!(subject.rows(&user(USER), "SELECT * FROM upload_queue").await, json!([]));
}

#[tokio::test]
async fn limits_cut_off_and_say_so() {
    let subject = Subject::open();
    subject.keep(&rows(&mut Random(3)));
    let count = subject.rows(&service(), "SELECT count(*) AS n FROM objects").await[0]["n"].as_u64().unwrap();
    let check = async |text: &str, rows: u64, wanted: (u64, bool)| {
        let answer = subject.ask(&service(), text, &[], QueryLimits { rows, ..LIMITS }).await.unwrap();
        assert_eq!((answer.row_count, answer.truncated), wanted, "{text} with {rows}");
    };
    check("SELECT path FROM objects", 1000, (count, false)).await;
    check("SELECT path FROM objects", count, (count, false)).await;
    check("SELECT path FROM objects", count - 1, (count - 1, true)).await;
    check("SELECT path FROM objects LIMIT 3", 3, (3, false)).await;
    check("SELECT path FROM objects LIMIT 5", 3, (3, true)).await;
    check("SELECT path FROM objects LIMIT 0", 3, (0, false)).await;
    check("SELECT path FROM objects OFFSET 5", 1000, (count - 5, false)).await;
    check("SELECT path FROM objects LIMIT 10 OFFSET 100000", 10, (0, false)).await;
    check("SELECT path FROM objects LIMIT ALL", 2, (2, true)).await;
    check("SELECT path FROM objects", 0, (0, true)).await;
    let few = QueryLimits { bytes: 200, ..LIMITS };
    let answer = subject.ask(&service(), "SELECT * FROM objects", &[], few).await.unwrap();
    assert_eq!((answer.row_count, answer.truncated, answer.rows.as_str()), (0, true, ""));
    let answer = subject.ask(&service(), "SELECT size FROM objects", &[], few).await.unwrap();
    assert!(answer.truncated && answer.row_count > 3 && answer.rows.len() <= 200, "{answer:?}");
}

#[tokio::test]
async fn what_cannot_be_computed_is_said() {
    let subject = Subject::open();
    subject.keep(&rows(&mut Random(3)));
    for (text, reason) in [
        ("SELECT 1 / (size - size) AS x FROM objects", "division by zero"),
        ("SELECT size * 1000000 AS x FROM objects ORDER BY size DESC", "bigint out of range"),
        ("SELECT path FROM objects WHERE path::bigint > 1", "invalid input syntax for type bigint"),
        ("SELECT max(size * 1000000) FROM objects", "bigint out of range"),
    ] {
        match subject.ask(&service(), text, &[], LIMITS).await {
            Err(StorageError::InvalidSql(fault)) => {
                assert!(fault.reason.contains(reason), "{text}: {fault}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn whatever_is_let_in_runs() {
    let subject = Subject::with(2);
    let mut random = Random(17);
    subject.keep(&rows(&mut random));
    for _ in 0..1500 {
        let text = query(&mut random);
        if crate::sql::query::parse(&text, &[]).is_err() {
            continue;
        }
        match subject.ask(&user(USER), &text, &[], LIMITS).await {
            Ok(_) | Err(StorageError::InvalidSql(_)) => {}
            Err(error) => panic!("{text}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn parameters_are_values_and_nothing_else() {
    let subject = Subject::open();
    subject.keep(&rows(&mut Random(3)));
    let text = "SELECT count(*) AS n FROM objects WHERE path = $1 OR bucket_id = $1";
    for evil in [
        "' OR true --",
        "'); DROP TABLE storage_objects; --",
        "\\' OR 1=1 --",
        "$1",
        "\u{1}",
        "x'' OR '1'='1",
    ] {
        let answer = subject.ask(&service(), text, &[json!(evil)], LIMITS).await.unwrap();
        assert_eq!(answer.rows, r#"{"n":0}"#, "{evil}");
    }
    let answer = subject.ask(&service(), text, &[json!("avatars")], LIMITS).await.unwrap();
    assert_ne!(answer.rows, r#"{"n":0}"#);
}
