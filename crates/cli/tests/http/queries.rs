//! Queries (SPEC 4, "Queryable"): whoever asks sees what rows show them, and reaches nothing else.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{OTHER, OWNER, Reply, Server, Who};

/// SPEC's own example.
const EXAMPLE: &str = "SELECT * FROM storage_objects WHERE bucket_id = 'avatars' AND owner_id = current_user_id() \
    AND size < 1000000";

/// Never done before its time, where there are some objects.
const ENDLESS: &str = "SELECT count(*) FROM objects a, objects b, objects c, objects d, objects e, objects f \
    WHERE a.size + b.size + c.size + d.size + e.size <> f.size OR length(a.path || b.path) > 3";

impl Server {
    async fn ask(&self, who: Who, body: Value) -> Reply {
        self.call(who, "POST", "/query").json(&body).send().await
    }

    async fn query(&self, who: Who, sql: &str) -> Value {
        self.ask(who, json!({ "sql": sql })).await.expect_status(200).json()
    }
}

/// One column of all rows.
fn column(answer: &Value, name: &str) -> Vec<Value> {
    answer["rows"].as_array().unwrap().iter().map(|row| row[name].clone()).collect()
}

#[tokio::test]
async fn the_specifications_example_answers_each_caller_with_their_own_rows() {
    let server = Server::start();
    server.bucket(Who::Service, "avatars", "private").await;
    server.bucket(Who::Service, "open", "public").await;
    server.put(Who::User(OWNER), "avatars/of-owner", "12345").await;
    server.put(Who::User(OTHER), "avatars/of-other", "123").await;
    server.put(Who::User(OTHER), "open/for-all", "1").await;

    for (who, user, path) in [(Who::User(OWNER), OWNER, "of-owner"), (Who::User(OTHER), OTHER, "of-other")] {
        let answer = server.query(who, EXAMPLE).await;
        assert_eq!(column(&answer, "path"), [json!(path)], "{answer}");
        assert_eq!(column(&answer, "owner_id"), [json!(user)]);
        assert_eq!((&answer["row_count"], &answer["truncated"]), (&json!(1), &json!(false)));
        let all = server.query(who, "SELECT path FROM storage_objects ORDER BY path").await;
        assert_eq!(column(&all, "path"), [json!("for-all"), json!(path)], "what is open, and one's own");
    }
    assert_eq!(server.query(Who::Anon, EXAMPLE).await["row_count"], 0);
    assert_eq!(server.query(Who::Service, EXAMPLE).await["row_count"], 0, "the service role is no user");
    let open = server.query(Who::Anon, "SELECT bucket_id, path, size FROM storage_objects").await;
    assert_eq!(open["rows"], json!([{ "bucket_id": "open", "path": "for-all", "size": 1 }]));
    assert_eq!(open["columns"][2], json!({ "name": "size", "type": "bigint" }));
    let nobody = server.call(Who::Anon, "POST", "/query").json(&json!({ "sql": EXAMPLE })).send().await;
    assert_eq!(nobody.header("cache-control"), "no-store");

    let all = "SELECT bucket_id, count(*) AS n, sum(size) AS bytes FROM objects GROUP BY bucket_id ORDER BY bytes DESC";
    let wanted = json!([
        { "bucket_id": "avatars", "n": 2, "bytes": "8" },
        { "bucket_id": "open", "n": 1, "bytes": "1" },
    ]);
    assert_eq!(server.query(Who::Service, all).await["rows"], wanted);

    // Buckets and usage likewise; what one asks for does not widen what one sees.
    for (who, buckets, users) in [(Who::Anon, 1, 0), (Who::User(OWNER), 1, 1), (Who::Service, 2, 2)] {
        assert_eq!(
            server.query(who, "SELECT id FROM storage_buckets").await["row_count"],
            buckets,
            "{who:?}"
        );
        assert_eq!(
            server.query(who, "SELECT user_id FROM storage_usage").await["row_count"],
            users,
            "{who:?}"
        );
        assert_eq!(server.query(who, "SELECT * FROM upload_queue").await["row_count"], 0, "{who:?}");
        let forced =
            format!("SELECT path FROM objects WHERE true OR owner_id = '{OTHER}' OR bucket_id = 'avatars'");
        let plain = server.query(who, "SELECT path FROM objects").await;
        assert_eq!(server.query(who, &forced).await["rows"], plain["rows"], "{who:?}");
    }
    let who = "SELECT auth.uid() AS id, auth.role() AS role";
    let said = server.query(Who::User(OWNER), who).await;
    assert_eq!(said["rows"], json!([{ "id": OWNER, "role": "authenticated" }]));
}

#[tokio::test]
async fn nothing_is_reached_but_the_tables() {
    let server = Server::start();
    server.bucket(Who::Service, "private", "private").await;
    server.put(Who::Service, "private/secret", "1").await;
    for sql in [
        "SELECT * FROM sqlite_master",
        "SELECT * FROM pg_catalog.pg_class",
        "SELECT * FROM storage_segments",
        "SELECT set_config('role', 'service_role', true)",
        "SELECT current_setting('request.jwt.claims')",
        "SELECT pg_sleep(10)",
        "SELECT load_extension('/tmp/x')",
        "SET ROLE service_role",
        "SELECT 1; DELETE FROM storage_objects",
        "/* SELECT */ DELETE FROM storage_objects",
        "PRAGMA query_only = off",
        "ATTACH '/etc/passwd' AS x",
        "EXPLAIN SELECT 1",
        "COPY storage_objects TO '/tmp/x'",
        "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT n FROM x",
        "SELECT * FROM generate_series(1, 1000000000)",
        "SELECT path FROM storage_objects UNION SELECT id FROM storage_buckets",
        "SELECT * FROM storage_objects WHERE path = U&'\\0061'",
        "SELECT * FROM storage_objects FOR UPDATE",
        "",
    ] {
        for who in [Who::Anon, Who::User(OWNER), Who::Service] {
            server.ask(who, json!({ "sql": sql })).await.expect_error(400, "INVALID_SQL");
        }
    }
    let said = server.ask(Who::Anon, json!({ "sql": "SELECT path,\n  pg_sleep(1) FROM objects" })).await;
    let said = said.expect_error(400, "INVALID_SQL").json();
    assert_eq!(said["position"], json!({ "line": 2, "column": 3 }), "{said}");
    assert!(said["message"].as_str().unwrap().contains("pg_sleep"), "{said}");

    let long = format!("SELECT 1 /* {} */", "x".repeat(1 << 20));
    server.ask(Who::Anon, json!({ "sql": long })).await.expect_error(400, "INVALID_SQL");
    let list = vec!["1"; 5000].join(",");
    let list = format!("SELECT path FROM objects WHERE size IN ({list})");
    server.ask(Who::Anon, json!({ "sql": list })).await.expect_error(400, "INVALID_SQL");
    server.ask(Who::Anon, json!({ "sql": "SELECT 'a\0b'" })).await.expect_error(400, "INVALID_SQL");
    for body in [json!({}), json!({ "sql": 5 }), json!({ "sql": "SELECT 1", "params": "x" })] {
        server.ask(Who::Anon, body).await.expect_error(400, "INVALID_REQUEST");
    }
    assert!(server.content("private/secret").await.is_some());
    server.expect_clean().await;
}

#[tokio::test]
async fn a_bad_token_is_never_taken_for_none() {
    for dialect in ["native", "supabase"] {
        let server = Server::start_with(&[("AEROSTORE_REST_DIALECT", dialect)]);
        let call = server.call(Who::Anon, "POST", "/query").json(&json!({ "sql": "SELECT 1 AS one" }));
        let refused = call.bearer("not.a.token").send().await;
        assert!(refused.status >= 400, "{dialect}: {}", refused.text());
        let answer = server.query(Who::Anon, "SELECT 1 AS one").await;
        assert_eq!(answer["rows"], json!([{ "one": 1 }]), "{dialect}");
    }
}

#[tokio::test]
async fn parameters_stand_for_values_and_are_not_logged() {
    let server = Server::start_with(&[("AEROSTORE_LOG_LEVEL", "debug")]);
    server.bucket(Who::User(OWNER), "box", "private").await;
    server.put(Who::User(OWNER), "box/it's", "12").await;
    server.put(Who::User(OWNER), "box/other", "123").await;
    let asked = json!({ "sql": "SELECT path FROM objects WHERE path = $1 AND size < $2 AND owner_id = $3",
        "params": ["it's", 100, OWNER] });
    let answer = server.ask(Who::User(OWNER), asked).await.expect_status(200).json();
    assert_eq!(answer["rows"], json!([{ "path": "it's" }]));
    let evil =
        json!({ "sql": "SELECT path FROM objects WHERE path = $1", "params": ["unspeakable' OR true --"] });
    assert_eq!(server.ask(Who::User(OWNER), evil).await.expect_status(200).json()["row_count"], 0);
    for params in [json!([]), json!(["a", "b"]), json!([5]), json!(["a\0b"])] {
        let body = json!({ "sql": "SELECT path FROM objects WHERE path = $1", "params": params });
        server.ask(Who::User(OWNER), body).await.expect_error(400, "INVALID_SQL");
    }
    let log = server.log_until("INVALID_SQL").await;
    assert!(log.contains("query"), "{log}");
    assert!(!log.contains("unspeakable") && !log.contains("SELECT"), "{log}");
}

#[tokio::test]
async fn answers_have_limits_and_say_when_they_met_one() {
    let server =
        Server::start_with(&[("AEROSTORE_QUERY_DEFAULT_ROWS", "3"), ("AEROSTORE_QUERY_MAX_ROWS", "5")]);
    server.bucket(Who::User(OWNER), "box", "private").await;
    for number in 0..8 {
        server.put(Who::User(OWNER), &format!("box/{number}"), "x").await;
    }
    let check = async |sql: &str, max_rows: Value, wanted: (u64, bool)| {
        let body = json!({ "sql": sql, "max_rows": max_rows });
        let answer = server.ask(Who::User(OWNER), body).await.expect_status(200).json();
        let said = (answer["row_count"].as_u64().unwrap(), answer["truncated"].as_bool().unwrap());
        assert_eq!(said, wanted, "{sql}: {answer}");
        assert_eq!(answer["rows"].as_array().unwrap().len() as u64, wanted.0);
    };
    check("SELECT path FROM objects", Value::Null, (3, true)).await;
    check("SELECT path FROM objects LIMIT 4", Value::Null, (4, false)).await;
    check("SELECT path FROM objects LIMIT 100", Value::Null, (5, true)).await;
    check("SELECT path FROM objects", json!(4), (4, true)).await;
    check("SELECT path FROM objects", json!(1000), (5, true)).await;
    check("SELECT path FROM objects LIMIT 2", json!(1000), (2, false)).await;
    check("SELECT path FROM objects LIMIT 5 OFFSET 6", Value::Null, (2, false)).await;

    let small = Server::start_with(&[("AEROSTORE_QUERY_MAX_BYTES", "100B")]);
    small.bucket(Who::User(OWNER), "box", "private").await;
    for number in 0..8 {
        small.put(Who::User(OWNER), &format!("box/{number}-{}", "x".repeat(20)), "x").await;
    }
    let answer = small.query(Who::User(OWNER), "SELECT path FROM objects ORDER BY path").await;
    assert_eq!((&answer["row_count"], &answer["truncated"]), (&json!(2), &json!(true)), "{answer}");
}

#[tokio::test]
async fn a_heavy_query_is_ended_in_time_and_others_are_served_meanwhile() {
    let settings = [("AEROSTORE_QUERY_TIMEOUT", "3s"), ("AEROSTORE_QUERY_CONCURRENCY", "2")];
    let server = Server::start_with(&settings);
    server.bucket(Who::User(OWNER), "box", "private").await;
    for number in 0..40 {
        server.put(Who::User(OWNER), &format!("box/{number}"), "x").await;
    }
    let started = Instant::now();
    let heavy = async {
        let ended = server.ask(Who::User(OWNER), json!({ "sql": ENDLESS })).await;
        (ended.expect_error(504, "OPERATION_TIMEOUT"), started.elapsed())
    };
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        for number in 0..10 {
            assert!(server.content(&format!("box/{number}")).await.is_some());
            server.put(Who::User(OWNER), &format!("box/{number}"), "y").await;
            assert_eq!(
                server.query(Who::User(OWNER), "SELECT path FROM objects LIMIT 1").await["row_count"],
                1
            );
        }
        started.elapsed()
    };
    let ((ended, heavy), meanwhile) = tokio::join!(heavy, meanwhile);
    assert!(ended.json()["hint"].is_string(), "{}", ended.text());
    assert!(meanwhile < heavy, "served after {meanwhile:?}, while the query took {heavy:?}");
    assert!(heavy < Duration::from_secs(30), "{heavy:?}");
    server.expect_clean().await;
}

#[tokio::test]
async fn one_callers_heavy_queries_leave_room_for_the_others() {
    let settings = [
        ("AEROSTORE_QUERY_TIMEOUT", "3s"),
        ("AEROSTORE_QUERY_CONCURRENCY", "2"),
        ("AEROSTORE_QUERY_PER_CALLER", "1"),
    ];
    let server = Server::start_with(&settings);
    server.bucket(Who::User(OWNER), "box", "authenticated").await;
    for number in 0..40 {
        server.put(Who::User(OWNER), &format!("box/{number}"), "x").await;
    }
    let started = Instant::now();
    // One runs, sixteen wait, and the others are too many.
    let heavy = join_all((0..20).map(|_| async {
        let reply = server.ask(Who::User(OWNER), json!({ "sql": ENDLESS })).await;
        (reply, started.elapsed())
    }));
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        for who in [Who::User(OTHER), Who::Service, Who::Anon] {
            server.query(who, "SELECT path FROM objects LIMIT 1").await;
            server.put(Who::User(OTHER), "box/other", "y").await;
            assert!(server.content("box/other").await.is_some());
        }
        started.elapsed()
    };
    let (heavy, meanwhile) = tokio::join!(heavy, meanwhile);
    let (refused, ended): (Vec<_>, Vec<_>) = heavy.into_iter().partition(|(reply, _)| reply.status == 429);
    assert!(refused.len() >= 3, "{} of 20", refused.len());
    for (reply, _) in refused {
        assert_eq!(reply.expect_error(429, "RATE_LIMITED").header("retry-after"), "1");
    }
    assert!(!ended.is_empty());
    for (reply, after) in ended {
        reply.expect_error(504, "OPERATION_TIMEOUT");
        assert!(meanwhile < after, "others were served after {meanwhile:?}, a query ended after {after:?}");
    }
    server.expect_clean().await;
}

#[tokio::test]
async fn a_query_whose_caller_has_gone_makes_room_for_the_next_one() {
    let settings = [("AEROSTORE_QUERY_TIMEOUT", "10m"), ("AEROSTORE_QUERY_CONCURRENCY", "1")];
    let server = Server::start_with(&settings);
    server.bucket(Who::User(OWNER), "box", "private").await;
    for number in 0..40 {
        server.put(Who::User(OWNER), &format!("box/{number}"), "x").await;
    }
    let asked = server.ask(Who::User(OWNER), json!({ "sql": ENDLESS }));
    assert!(tokio::time::timeout(Duration::from_millis(500), asked).await.is_err(), "the query is endless");
    let next = server.query(Who::User(OWNER), "SELECT count(*) AS n FROM objects");
    let next = tokio::time::timeout(Duration::from_secs(60), next).await.expect("a place is free");
    assert_eq!(next["rows"], json!([{ "n": 40 }]));
}

#[tokio::test]
async fn fs_i3_a_condition_never_meets_a_row_that_its_author_may_not_see() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "inbox", "private").await;
    server.bucket(Who::User(OWNER), "open", "public").await;
    server.put(Who::User(OWNER), "inbox/secret", "123456789").await;
    // None of the conditions fails on this one.
    server.put(Who::User(OWNER), "open/17", "1234").await;
    for condition in [
        "CASE WHEN path = 'secret' THEN 1 / (size - size) ELSE 0 END = 0",
        "1 / (size - 9) = 0",
        "owner_id = '{owner}' AND 1 / (size - 9) = 0",
        "path LIKE '%secr%' AND 1 / (size - 9) = 0",
        "size = 9 AND coalesce(path || '', path)::int = 1",
        "bucket_id = 'inbox' AND path::int = 1",
        "length(path) = 6 AND path::int = 1",
    ] {
        let condition = condition.replace("{owner}", &OWNER.to_string());
        for sql in [
            format!("SELECT path FROM storage_objects WHERE {condition}"),
            format!("SELECT count(*) AS n FROM storage_objects WHERE {condition}"),
            format!("SELECT o.path FROM storage_buckets b JOIN storage_objects o ON {condition}")
                .replace("owner_id", "o.owner_id")
                .replace("path =", "o.path ="),
            format!("SELECT b.id FROM storage_buckets b LEFT JOIN storage_objects o ON {condition}")
                .replace("owner_id", "o.owner_id"),
        ] {
            for who in [Who::Anon, Who::User(OTHER)] {
                let reply = server.ask(who, json!({ "sql": sql })).await;
                assert_eq!(reply.status, 200, "{sql}: {}", reply.text());
            }
        }
    }
    let own = "SELECT path FROM storage_objects WHERE 1 / (size - 4) = 0";
    let failed = server.ask(Who::User(OTHER), json!({ "sql": own })).await.expect_error(400, "INVALID_SQL");
    assert_eq!(failed.json()["message"], "division by zero", "of rows that are shown, and no more is said");
}
