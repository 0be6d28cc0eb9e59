//! Lifecycle rules by the API: who may make them, what they say, and runs that are asked for.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Data, OWNER, Reply, Server, Who};

const PATH: &str = "/api/v1/storage/lifecycle";

async fn make(server: &Server, rule: &Value) -> Reply {
    server.request(Who::Service, "POST", PATH).json(rule).send().await
}

async fn ask(server: &Server, asked: &Value) -> Reply {
    server.request(Who::Service, "POST", &format!("{PATH}/run")).json(asked).send().await
}

/// A run that was asked for, as soon as it has ended.
async fn run(server: &Server, asked: Value) -> Value {
    let job = ask(server, &asked).await.expect_status(202).json();
    ended(server, job["id"].as_str().unwrap()).await
}

/// A run as soon as it has ended.
async fn ended(server: &Server, id: &str) -> Value {
    for _ in 0..1200 {
        let path = format!("/api/v1/storage/jobs/{id}");
        let job = server.request(Who::Service, "GET", &path).send().await.expect_status(200).json();
        if !["pending", "running"].contains(&job["status"].as_str().unwrap()) {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the run never ends: {}", server.log());
}

/// Two objects, of which a rule lets the first one go once it is three days old; so far, rules are followed by nobody.
async fn filled() -> Server {
    let server = Server::start_with(&[("AEROSTORE_LIFECYCLE_ENABLED", "false")]);
    server.bucket(Who::User(OWNER), "logs", "private").await;
    server.put(Who::User(OWNER), "logs/old/a", "12345").await;
    server.put(Who::User(OWNER), "logs/b", "1").await;
    make(&server, &json!({ "bucket": "logs", "prefix": "old/", "max_age_days": 3 })).await.expect_status(201);
    server
}

#[tokio::test]
async fn rules_are_made_shown_changed_and_removed() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "logs", "private").await;
    server.put(Who::User(OWNER), "logs/young", "1").await;
    let made =
        make(&server, &json!({ "bucket": "logs", "name": "old", "prefix": "a/", "max_age_days": 30 })).await;
    let made = made.expect_status(201).json();
    let expected = json!({
        "bucket": "logs", "name": "old", "prefix": "a/", "tags": {}, "enabled": true, "max_age_days": 30,
        "action": "delete", "archive_to": null, "warn_before_days": null, "noncurrent_days": null,
        "noncurrent_keep": null, "expired_delete_markers": false, "abort_incomplete_days": null, "source": "api",
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(made[key], *value, "{key}");
    }
    // A name is a bucket's once, for a rule that is made and for one that is changed.
    let again = json!({ "bucket": "logs", "name": "old", "max_age_days": 5 });
    let taken = make(&server, &again).await.expect_error(409, "LIFECYCLE_RULE_EXISTS").json();
    assert_eq!(taken["name"], "old", "{taken}");
    let elsewhere = format!("{PATH}/{}", uuid::Uuid::new_v4());
    let put = server.request(Who::Service, "PUT", &elsewhere).json(&again).send().await;
    put.expect_error(409, "LIFECYCLE_RULE_EXISTS");
    let one = format!("{PATH}/{}", made["id"].as_str().unwrap());
    let unreachable = json!({ "bucket": "logs", "prefix": "/x", "max_age_days": 5 });
    make(&server, &unreachable).await.expect_error(400, "INVALID_REQUEST");
    let changed = json!({ "bucket": "logs", "prefix": "b/", "max_age_days": 60, "warn_before_days": 7 });
    let set = server.request(Who::Service, "PUT", &one).json(&changed).send().await.expect_status(200).json();
    assert_eq!((&set["id"], &set["prefix"], &set["name"]), (&made["id"], &json!("b/"), &Value::Null));
    assert_eq!(set["created_at"], made["created_at"]);
    let shown = server.request(Who::Service, "GET", &one).send().await.expect_status(200).json();
    assert_eq!(shown["warn_before_days"], 7);
    let listed = server.request(Who::Service, "GET", &format!("{PATH}?bucket=logs")).send().await;
    assert_eq!(listed.expect_status(200).json().as_array().unwrap().len(), 1);
    let looked = run(&server, json!({ "dry_run": true })).await;
    assert_eq!((&looked["status"], &looked["dry_run"]), (&json!("completed"), &json!(true)), "{looked}");
    assert_eq!(looked["report"]["totals"]["deleted"], 0, "{looked}");
    let applied = run(&server, json!({})).await;
    assert_eq!(
        (&applied["status"], &applied["kind"]),
        (&json!("completed"), &json!("lifecycle")),
        "{applied}"
    );
    assert!(server.content("logs/young").await.is_some());
    server.request(Who::Service, "DELETE", &one).send().await.expect_status(200);
    server.request(Who::Service, "GET", &one).send().await.expect_error(404, "LIFECYCLE_RULE_NOT_FOUND");
    server.request(Who::Service, "DELETE", &one).send().await.expect_error(404, "LIFECYCLE_RULE_NOT_FOUND");
}

#[tokio::test]
async fn what_makes_no_rule_is_refused() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "logs", "private").await;
    for (rule, status, code) in [
        (json!({ "bucket": "logs" }), 400, "INVALID_REQUEST"),
        (json!({ "bucket": "logs", "max_age_days": 0 }), 400, "INVALID_REQUEST"),
        (json!({ "bucket": "logs", "max_age_days": 3, "action": "burn" }), 400, "INVALID_REQUEST"),
        (json!({ "bucket": "logs", "max_age_days": 3, "max_size": 3 }), 400, "INVALID_REQUEST"),
        // Fields without their names.
        (json!(["logs", null, "zz/", {}, true, 5]), 400, "INVALID_REQUEST"),
        (
            json!({ "bucket": "logs", "max_age_days": 3, "action": "archive", "archive_to": ["local"] }),
            400,
            "INVALID_REQUEST",
        ),
        (json!({ "bucket": "logs", "max_age_days": 3, "action": "archive" }), 400, "INVALID_REQUEST"),
        (
            json!({ "bucket": "logs", "max_age_days": 3, "action": "archive", "archive_to": {} }),
            400,
            "INVALID_REQUEST",
        ),
        (
            json!({ "bucket": "logs", "max_age_days": 3, "action": "archive", "archive_to": { "provider": "cold" } }),
            404,
            "PROVIDER_NOT_FOUND",
        ),
        (json!({ "bucket": "nowhere", "max_age_days": 3 }), 404, "BUCKET_NOT_FOUND"),
    ] {
        make(&server, &rule).await.expect_error(status, code);
    }
    let listed = server.request(Who::Service, "GET", PATH).send().await.expect_status(200).json();
    assert_eq!(listed, json!([]));
}

#[tokio::test]
async fn rules_are_nobody_elses_to_see_or_make() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "logs", "private").await;
    let rule = json!({ "bucket": "logs", "max_age_days": 3 });
    let made = make(&server, &rule).await.expect_status(201).json();
    let one = format!("{PATH}/{}", made["id"].as_str().unwrap());
    for (who, status) in [(Who::User(OWNER), 403), (Who::Anon, 401)] {
        for (method, path) in [
            ("GET", PATH),
            ("POST", PATH),
            ("GET", one.as_str()),
            ("PUT", one.as_str()),
            ("DELETE", one.as_str()),
            ("POST", "/api/v1/storage/lifecycle/run"),
        ] {
            let reply = server.request(who, method, path).json(&rule).send().await;
            assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
        }
    }
    server.request(Who::Service, "GET", &one).send().await.expect_status(200);
}

/// As if nobody had looked at the clock for so many days, or as if it had leapt by them.
async fn leap(data: &Data, days: u32) {
    let sqlite =
        format!("UPDATE lifecycle_state SET seen_at = seen_at - 86400 * 1000000 * {days}, held_until = NULL");
    let postgres = format!(
        "UPDATE aerostore.lifecycle_state SET seen_at = seen_at - interval '1 day' * {days}, held_until = NULL"
    );
    data.write(&sqlite, &postgres).await;
}

/// What a metric says, as soon as it says this.
async fn until_metric(server: &Server, line: &str) {
    for _ in 0..600 {
        let metrics = server.request(Who::Service, "GET", "/metrics").send().await.expect_status(200).text();
        if metrics.lines().any(|known| known == line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{line} is never said: {}", server.log());
}

#[tokio::test]
async fn a_clock_that_leapt_has_runs_wait_but_for_those_that_are_forced() {
    let server = filled().await;
    let looked = run(&server, json!({})).await;
    assert_eq!((&looked["status"], &looked["done"]), (&json!("completed"), &json!(0)), "{looked}");

    // Behind the back of a run that was let in before, too: it is as the one that was, and nobody has begun it.
    let waiting = uuid::Uuid::now_v7();
    let again = |jobs: &str, no: &str| {
        format!(
            "INSERT INTO {jobs} (id, kind, caller, user_id, params, dry_run, created_at, updated_at) \
             SELECT '{waiting}', kind, caller, user_id, params, {no}, created_at, updated_at FROM {jobs}"
        )
    };
    let data = server.stop();
    data.age(5).await;
    leap(&data, 5).await;
    data.write(&again("jobs", "0"), &again("aerostore.jobs", "false")).await;
    let server = Server::start_in(data, &[]);
    let job = ended(&server, &waiting.to_string()).await;
    assert_eq!(
        (&job["status"], &job["error"]["code"]),
        (&json!("failed"), &json!("LIFECYCLE_HELD")),
        "{job}"
    );
    let held = ask(&server, &json!({})).await.expect_error(409, "LIFECYCLE_HELD").json();
    let until: chrono::DateTime<chrono::Utc> = held["until"].as_str().unwrap().parse().unwrap();
    let hours = (until - chrono::Utc::now()).num_hours();
    assert!((22..=24).contains(&hours), "a day from when it was seen: {held}");
    until_metric(&server, "storage_lifecycle_held 1").await;
    server.log_until("lifecycle rules wait").await;

    let looked = run(&server, json!({ "dry_run": true })).await;
    let report = &looked["report"];
    assert_eq!(
        (&report["totals"]["deleted"], report["held_until"].is_string()),
        (&json!(1), true),
        "{looked}"
    );
    ask(&server, &json!({ "force": false })).await.expect_error(409, "LIFECYCLE_HELD");
    assert!(server.content("logs/old/a").await.is_some(), "nothing went so far");
    let forced = run(&server, json!({ "force": true })).await;
    assert_eq!((&forced["status"], &forced["done"]), (&json!("completed"), &json!(1)), "{forced}");
    assert!(forced["report"].get("held_until").is_none(), "{forced}");
    assert!(server.content("logs/old/a").await.is_none());
    assert!(server.content("logs/b").await.is_some());
    // Forcing one run is no word on the next.
    ask(&server, &json!({})).await.expect_error(409, "LIFECYCLE_HELD");
    server.expect_clean().await;
}

/// Runs of lifecycle rules that there were, whoever asked for them.
async fn runs(server: &Server) -> Value {
    let path = "/api/v1/storage/jobs?kind=lifecycle";
    server.request(Who::Service, "GET", path).send().await.expect_status(200).json()["jobs"].take()
}

#[tokio::test]
async fn what_is_old_goes_by_itself_unless_that_is_turned_off() {
    let (idle, busy) = (filled().await.stop(), filled().await.stop());
    // The last run was a minute ago: once a day, none would be due.
    let sqlite = "INSERT INTO lifecycle_state (id, seen_at, turn_at) \
                  SELECT 1, unixepoch() * 1000000, (unixepoch() - 61) * 1000000";
    let postgres = "INSERT INTO aerostore.lifecycle_state (id, seen_at, turn_at) \
                    SELECT 1, now(), now() - interval '61 seconds'";
    for data in [&idle, &busy] {
        data.age(5).await;
        data.write(sqlite, postgres).await;
    }
    // The one that does nothing begins first, and so had the time to.
    let often = ("AEROSTORE_LIFECYCLE_INTERVAL", "1m");
    let idle = Server::start_in(idle, &[often, ("AEROSTORE_LIFECYCLE_ENABLED", "false")]);
    let busy = Server::start_in(busy, &[often]);
    for _ in 0..1200 {
        if busy.content("logs/old/a").await.is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(busy.content("logs/old/a").await.is_none(), "it never goes: {}", busy.log());
    assert!(busy.content("logs/b").await.is_some(), "no rule is about it");
    let job = ended(&busy, runs(&busy).await[0]["id"].as_str().unwrap()).await;
    assert_eq!(
        (&job["status"], &job["done"], &job["dry_run"]),
        (&json!("completed"), &json!(1), &json!(false))
    );
    until_metric(&busy, "storage_lifecycle_held 0").await;
    busy.expect_clean().await;

    assert!(idle.content("logs/old/a").await.is_some());
    assert_eq!(runs(&idle).await, json!([]), "nobody asked for a run");
    // What it has is as due as the other's.
    let idle = Server::start_in(idle.stop(), &[often]);
    for _ in 0..1200 {
        if idle.content("logs/old/a").await.is_none() {
            return idle.expect_clean().await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never goes: {}", idle.log());
}
