//! Lifecycle rules by the API: who may make them, what they say, and runs that are asked for.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{OWNER, Reply, Server, Who};

const PATH: &str = "/api/v1/storage/lifecycle";

async fn make(server: &Server, rule: &Value) -> Reply {
    server.request(Who::Service, "POST", PATH).json(rule).send().await
}

/// A run that was asked for, as soon as it has ended.
async fn run(server: &Server, asked: Value) -> Value {
    let started = server.request(Who::Service, "POST", &format!("{PATH}/run")).json(&asked).send().await;
    let mut job = started.expect_status(202).json();
    for _ in 0..1200 {
        if !["pending", "running"].contains(&job["status"].as_str().unwrap()) {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let path = format!("/api/v1/storage/jobs/{}", job["id"].as_str().unwrap());
        job = server.request(Who::Service, "GET", &path).send().await.expect_status(200).json();
    }
    panic!("the run never ends: {}", server.log());
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
