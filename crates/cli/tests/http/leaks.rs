//! No answer tells a caller without access what exists: it is the same, byte for byte, before and after something is
//! there. Writing at a taken path is the exception that no server can hide: two objects cannot have one path.

use serde_json::{Value, json};

use super::support::{OTHER, OWNER, Reply, Server, Who};

/// What was asked, and what a caller sees of the answer: all of it but what is new in each one.
#[derive(Debug, PartialEq)]
struct Shown {
    asked: String,
    status: u16,
    headers: Vec<String>,
    body: Value,
}

fn shown(asked: String, reply: &Reply) -> Shown {
    let mut headers: Vec<_> = reply
        .headers
        .iter()
        .filter(|(name, _)| !["date", "x-request-id", "content-length"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    headers.sort();
    let mut body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    if let Some(body) = body.as_object_mut() {
        body.remove("request_id");
    }
    Shown { asked, status: reply.status, headers, body }
}

/// Everything that a caller may ask about `box/secret` without changing it, if refused.
async fn answers(server: &Server, who: Who) -> Vec<Shown> {
    let copy = json!({
        "bucketId": "box", "sourceKey": "secret", "destinationBucket": "free", "destinationKey": "stolen",
    });
    let asks = [
        ("GET", "/object/box/secret", Value::Null),
        ("HEAD", "/object/box/secret", Value::Null),
        ("GET", "/object/authenticated/box/secret", Value::Null),
        ("GET", "/object/public/box/secret", Value::Null),
        ("HEAD", "/object/public/box/secret", Value::Null),
        ("GET", "/object/info/box/secret", Value::Null),
        ("GET", "/object/info/public/box/secret", Value::Null),
        ("DELETE", "/object/box/secret", Value::Null),
        ("POST", "/object/copy", copy.clone()),
        ("POST", "/object/move", copy),
        ("POST", "/object/sign/box/secret", json!({ "expiresIn": 60 })),
        ("POST", "/object/sign/box", json!({ "expiresIn": 60, "paths": ["secret"] })),
        ("POST", "/object/list/box", json!({ "prefix": "" })),
        ("POST", "/object/list-v2/box", json!({})),
        ("DELETE", "/object/box", json!({ "prefixes": ["secret"] })),
    ];
    let mut answers = Vec::new();
    for (method, path, body) in asks {
        let call = server.call(who, method, path);
        let call = if body.is_null() { call } else { call.json(&body) };
        answers.push(shown(format!("{who:?}: {method} {path}"), &call.send().await));
        let conditional =
            server.call(who, method, path).header("if-none-match", "*").header("range", "bytes=999-");
        if method == "GET" {
            answers.push(shown(format!("{who:?}: conditional {method} {path}"), &conditional.send().await));
        }
    }
    answers
}

#[track_caller]
fn check(before: &[Shown], after: &[Shown]) {
    for (before, after) in before.iter().zip(after) {
        assert_eq!(before, after, "what is not there is told from what is");
    }
}

#[tokio::test]
async fn fs_i3_existing_and_missing_paths_answer_alike_where_the_caller_cannot_see() {
    for (policy, maker, callers) in [
        ("private", Who::User(OWNER), &[Who::Anon, Who::User(OTHER)][..]),
        ("private", Who::Service, &[Who::Anon, Who::User(OTHER)]),
        ("authenticated", Who::User(OWNER), &[Who::Anon]),
        ("authenticated", Who::Service, &[Who::Anon]),
    ] {
        let server = Server::start();
        server.bucket(Who::Service, "free", "authenticated").await;
        server.bucket(maker, "box", policy).await;
        for who in callers {
            let before = answers(&server, *who).await;
            server.put(Who::User(OWNER), "box/secret", "secret").await;
            check(&before, &answers(&server, *who).await);
            assert_eq!(
                server.content("box/secret").await.as_deref(),
                Some(&b"secret"[..]),
                "{policy}: {who:?}"
            );
            server.call(Who::Service, "DELETE", "/object/box/secret").send().await.expect_status(204);
        }
    }
}

#[tokio::test]
async fn fs_i3_uploads_to_somebody_elses_bucket_answer_alike() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "box", "private").await;
    for who in [Who::Anon, Who::User(OTHER)] {
        let ask = || async {
            let mut replies = Vec::new();
            for (method, path, header) in [
                ("POST", "/object/box/secret", ("x-upsert", "false")),
                ("POST", "/object/box/secret", ("x-upsert", "true")),
                ("PUT", "/object/box/secret", ("accept", "*/*")),
                ("PUT", "/object/box/secret", ("if-none-match", "*")),
                ("PUT", "/object/box/secret", ("if-match", "*")),
                ("POST", "/object/upload/sign/box/secret", ("x-upsert", "false")),
                ("POST", "/object/upload/sign/box/secret", ("x-upsert", "true")),
            ] {
                let reply = server.call(who, method, path).header(header.0, header.1).body("x").send().await;
                replies.push(shown(format!("{who:?}: {method} {path} {header:?}"), &reply));
            }
            replies
        };
        let before = ask().await;
        server.put(Who::User(OWNER), "box/secret", "secret").await;
        check(&before, &ask().await);
        server.call(Who::Service, "DELETE", "/object/box/secret").send().await.expect_status(204);
    }
}

#[tokio::test]
async fn fs_i3_signing_an_upload_tells_nothing_of_files_that_are_not_seen() {
    let server = Server::start();
    server.bucket(Who::Service, "box", "private").await;
    for who in [Who::User(OTHER), Who::Anon] {
        let ask = || async {
            let mut replies = Vec::new();
            for upsert in ["false", "true"] {
                let call = server.call(who, "POST", "/object/upload/sign/box/secret?expires_in=60");
                let reply = call.header("x-upsert", upsert).send().await;
                let mut shown = shown(format!("{who:?}: {upsert}"), &reply);
                // A token is another one each time, and the moment goes into it.
                for field in ["url", "signed_url", "token", "expires_at"] {
                    shown.body.as_object_mut().unwrap().remove(field);
                }
                replies.push(shown);
            }
            replies
        };
        let before = ask().await;
        server.put(Who::User(OWNER), "box/secret", "secret").await;
        check(&before, &ask().await);
        server.call(Who::Service, "DELETE", "/object/box/secret").send().await.expect_status(204);
    }
    // The URL that was got so writes over nothing: its use is a write of whoever signed it.
    let sign = async |who, upsert| {
        let call = server.call(who, "POST", "/object/upload/sign/box/secret").header("x-upsert", upsert);
        let token = call.send().await.expect_status(200).json()["token"].as_str().unwrap().to_owned();
        format!("/object/upload/sign/box/secret?token={token}")
    };
    let (create, upsert) = (sign(Who::User(OTHER), "false").await, sign(Who::User(OTHER), "true").await);
    server.put(Who::User(OWNER), "box/secret", "secret").await;
    let put = |url: &str| server.call(Who::Anon, "PUT", url).body("evil").send();
    put(&create).await.expect_error(409, "OBJECT_EXISTS");
    put(&upsert).await.expect_error(403, "STORAGE_UNAUTHORIZED");
    assert_eq!(server.content("box/secret").await.as_deref(), Some(&b"secret"[..]));
    put(&sign(Who::User(OWNER), "true").await).await.expect_status(200);
    put(&sign(Who::Service, "true").await).await.expect_status(200);
    assert_eq!(server.content("box/secret").await.as_deref(), Some(&b"evil"[..]));
    let info = server.call(Who::User(OWNER), "GET", "/object/info/box/secret").send().await;
    assert_eq!(info.expect_status(200).json()["owner_id"], json!(OWNER));
}

#[tokio::test]
async fn anon_is_not_told_which_buckets_exist() {
    let server = Server::start();
    let ask = || async {
        let mut replies = Vec::new();
        for (method, path, body) in [
            ("GET", "/bucket/box", Value::Null),
            ("PUT", "/bucket/box", json!({ "public": true })),
            ("POST", "/bucket/box/empty", Value::Null),
            ("DELETE", "/bucket/box", Value::Null),
            ("GET", "/bucket", Value::Null),
            ("POST", "/bucket", json!({ "name": "box" })),
            ("POST", "/object/list/box", json!({ "prefix": "" })),
        ] {
            let call = server.call(Who::Anon, method, path);
            let call = if body.is_null() { call } else { call.json(&body) };
            replies.push(shown(format!("{method} {path}"), &call.send().await));
        }
        let mut objects = answers(&server, Who::Anon).await;
        replies.append(&mut objects);
        replies
    };
    let before = ask().await;
    server.bucket(Who::User(OWNER), "box", "private").await;
    server.put(Who::User(OWNER), "box/secret", "x").await;
    check(&before, &ask().await);
}
