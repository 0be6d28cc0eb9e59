//! The error table of SPEC 6: each code that a client can provoke, with its status, its fields and nothing else.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::support::{Call, OTHER, OWNER, Server, Who};

/// What every error has.
const FIELDS: [&str; 6] = ["statusCode", "error", "message", "code", "retryable", "request_id"];

/// An error, and what it has beyond [`FIELDS`].
struct Wanted(u16, &'static str, &'static [&'static str]);

async fn check(what: &str, call: Call, wanted: &Wanted) -> Value {
    let Wanted(status, code, context) = wanted;
    let reply = call.send().await;
    assert_eq!(reply.status, *status, "{what}: {}", reply.text());
    assert!(reply.header("content-type").starts_with("application/json"), "{what}: {:?}", reply.headers);
    let body = reply.json();
    assert_eq!(body["code"], *code, "{what}: {body}");
    let fields: BTreeSet<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let documented: BTreeSet<_> = FIELDS.iter().chain(*context).copied().collect();
    assert_eq!(fields, documented, "{what}: {body}");
    assert_eq!(body["statusCode"], status.to_string(), "{what}: a string: {body}");
    assert!(body["error"].is_string() && body["message"].is_string(), "{what}: {body}");
    assert_eq!(body["retryable"], [429, 503, 504].contains(status), "{what}: {body}");
    assert_eq!(body["request_id"].as_str().unwrap(), reply.header("x-request-id"), "{what}");
    assert!(!reply.header("x-request-id").is_empty(), "{what}");
    assert_eq!(
        reply.headers.contains_key("retry-after"),
        [429, 503].contains(status),
        "{what}: {:?}",
        reply.headers
    );
    body
}

#[tokio::test]
async fn every_error_that_a_client_can_provoke_has_its_fields() {
    let server = Server::start_with(&[
        ("AEROSTORE_RATE_LIMIT_SIGNED_PER_SECOND", "1"),
        ("AEROSTORE_RATE_LIMIT_SIGNED_BURST", "3"),
    ]);
    let me = Who::User(OWNER);
    server.bucket(me, "box", "private").await;
    server.put(me, "box/file", "hello").await;
    server.bucket(me, "shared", "authenticated").await;
    server.put(me, "shared/file", "hello").await;
    let limited = json!({ "name": "limited", "allowed_mime_types": ["image/*"], "max_file_size": 100, "quota_bytes": 50 });
    server.bucket_with(me, limited).await;
    let denial = &["bucket", "permission", "reason"][..];
    let place = &["bucket", "path"][..];
    let png = |call: Call| call.header("content-type", "image/png");
    let copy = json!({ "bucketId": "box", "sourceKey": "nothing", "destinationKey": "y" });

    for (what, call, wanted) in [
        ("no JSON", server.call(me, "POST", "/bucket").body("{"), Wanted(400, "INVALID_REQUEST", &[])),
        (
            "a missing field",
            server.call(me, "POST", "/bucket").json(&json!({})),
            Wanted(400, "INVALID_REQUEST", &[]),
        ),
        (
            "a bad path",
            server.call(me, "PUT", "/object/box/a%00").body("x"),
            Wanted(400, "INVALID_PATH", &["path", "reason"]),
        ),
        (
            "a bad bucket name",
            server.call(me, "POST", "/bucket").json(&json!({ "name": "A" })),
            Wanted(400, "INVALID_BUCKET_NAME", &["bucket", "reason"]),
        ),
        (
            "a range outside",
            server.call(me, "GET", "/object/box/file").header("range", "bytes=9-"),
            Wanted(416, "INVALID_RANGE", &["size"]),
        ),
        ("no token", server.call(Who::Anon, "GET", "/object/box/file"), Wanted(401, "AUTH_REQUIRED", denial)),
        (
            "no token, to write",
            server.call(Who::Anon, "PUT", "/object/box/file").body("x"),
            Wanted(401, "AUTH_REQUIRED", denial),
        ),
        (
            "a bad token",
            server.call(Who::Anon, "GET", "/bucket").bearer("x"),
            Wanted(401, "INVALID_TOKEN", &[]),
        ),
        (
            "no user's token",
            server.call(Who::Anon, "GET", "/bucket").bearer(&server.mint(&json!({
                "sub": "x", "role": "authenticated", "exp": chrono::Utc::now().timestamp() + 60,
            }))),
            Wanted(401, "USER_NOT_FOUND", &[]),
        ),
        (
            "somebody else's bucket",
            server.call(Who::User(OTHER), "GET", "/object/box/file"),
            Wanted(403, "STORAGE_UNAUTHORIZED", denial),
        ),
        (
            "somebody else's file",
            server.call(Who::User(OTHER), "DELETE", "/object/shared/file"),
            Wanted(403, "STORAGE_UNAUTHORIZED", denial),
        ),
        (
            "a bad signature",
            server.call(Who::Anon, "GET", "/object/sign/box/file?token=x"),
            Wanted(403, "INVALID_SIGNATURE", &["reason"]),
        ),
        (
            "no such bucket",
            server.call(me, "GET", "/bucket/nothing"),
            Wanted(404, "BUCKET_NOT_FOUND", &["bucket"]),
        ),
        (
            "no such bucket, by an object",
            server.call(me, "GET", "/object/nothing/x"),
            Wanted(404, "BUCKET_NOT_FOUND", &["bucket"]),
        ),
        (
            "no such object",
            server.call(me, "GET", "/object/box/nothing"),
            Wanted(404, "OBJECT_NOT_FOUND", place),
        ),
        (
            "a copy of nothing",
            server.call(me, "POST", "/object/copy").json(&copy),
            Wanted(404, "OBJECT_NOT_FOUND", place),
        ),
        ("no such route", server.call(me, "GET", "/nothing"), Wanted(404, "INVALID_REQUEST", &[])),
        ("no such method", server.call(me, "DELETE", "/bucket"), Wanted(405, "INVALID_REQUEST", &[])),
        (
            "a bucket twice",
            server.call(me, "POST", "/bucket").json(&json!({ "name": "box" })),
            Wanted(409, "BUCKET_EXISTS", &["bucket"]),
        ),
        (
            "an object twice",
            server.call(me, "POST", "/object/box/file").body("x"),
            Wanted(409, "OBJECT_EXISTS", place),
        ),
        (
            "a bucket that is full",
            server.call(me, "DELETE", "/bucket/box"),
            Wanted(409, "BUCKET_NOT_EMPTY", &["bucket"]),
        ),
        (
            "another version",
            server.call(me, "PUT", "/object/box/file").header("if-match", "\"x\"").body("x"),
            Wanted(412, "PRECONDITION_FAILED", place),
        ),
        (
            "another version, to delete",
            server.call(me, "DELETE", "/object/box/file").header("if-match", "\"x\""),
            Wanted(412, "PRECONDITION_FAILED", place),
        ),
        (
            "one of many, to delete",
            server
                .call(me, "DELETE", "/object/box")
                .header("if-match", "*")
                .json(&json!({ "prefixes": ["file"] })),
            Wanted(400, "INVALID_REQUEST", &[]),
        ),
        (
            "nothing, to delete",
            server.call(me, "DELETE", "/object/box/nothing").header("if-match", "*"),
            Wanted(412, "PRECONDITION_FAILED", place),
        ),
        (
            "another version, to read",
            server.call(me, "GET", "/object/box/file").header("if-match", "\"x\""),
            Wanted(412, "PRECONDITION_FAILED", place),
        ),
        (
            "too large",
            png(server.call(me, "PUT", "/object/limited/x")).body(vec![0; 101]),
            Wanted(413, "PAYLOAD_TOO_LARGE", &["limit"]),
        ),
        (
            "too much JSON",
            server.call(me, "POST", "/object/copy").body(vec![b' '; 3 << 20]),
            Wanted(413, "PAYLOAD_TOO_LARGE", &["limit"]),
        ),
        (
            "another kind",
            server.call(me, "PUT", "/object/limited/x").header("content-type", "text/html").body("x"),
            Wanted(415, "UNSUPPORTED_MEDIA_TYPE", &["content_type"]),
        ),
    ] {
        check(what, call, &wanted).await;
    }

    png(server.call(me, "PUT", "/object/limited/first")).body(vec![0; 30]).send().await.expect_status(200);
    let call = png(server.call(me, "PUT", "/object/limited/second")).body(vec![0; 21]);
    let quota = Wanted(507, "QUOTA_EXCEEDED", &["scope", "name", "used", "quota", "limit", "requested"]);
    let body = check("a quota", call, &quota).await;
    let numbers = ["scope", "used", "limit", "requested"].map(|field| body[field].clone());
    assert_eq!(numbers, [json!("bucket"), json!(30), json!(50), json!(21)], "{body}");
    assert_eq!(body["name"], "limited", "{body}");
    // What an overwrite replaces does not count twice.
    png(server.call(me, "PUT", "/object/limited/first")).body(vec![0; 50]).send().await.expect_status(200);

    let signed =
        server.call(me, "POST", "/object/sign/box/file").json(&json!({ "expiresIn": 1 })).send().await;
    let url = signed.expect_status(200).json()["signedURL"].as_str().unwrap().to_owned();
    let mut seen = BTreeSet::new();
    while seen.len() < 2 {
        let reply = server.call(Who::Anon, "GET", &url).send().await;
        let wanted = match reply.status {
            410 => Wanted(410, "URL_EXPIRED", &["reason"]),
            429 => Wanted(429, "RATE_LIMITED", &["retry_after"]),
            _ => continue,
        };
        if seen.insert(reply.status) {
            let fields: BTreeSet<_> = reply.json().as_object().unwrap().keys().cloned().collect();
            let documented: BTreeSet<_> =
                FIELDS.iter().chain(wanted.2).map(|field| (*field).to_owned()).collect();
            assert_eq!(fields, documented, "{}", reply.text());
            let retry_after = reply.headers.contains_key("retry-after");
            assert_eq!(retry_after, reply.status == 429);
            reply.expect_error(wanted.0, wanted.1);
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_words_are_those_that_applications_compare() {
    let server = Server::start();
    let me = Who::User(OWNER);
    server
        .bucket_with(me, json!({ "name": "box", "max_file_size": 3, "allowed_mime_types": ["text/plain"] }))
        .await;
    let text = |call: Call| call.header("content-type", "text/plain");
    text(server.call(me, "PUT", "/object/box/x")).body("x").send().await.expect_status(200);
    for (call, message) in [
        (server.call(me, "GET", "/bucket/nothing"), "Bucket not found"),
        (server.call(me, "GET", "/object/box/nothing"), "Object not found"),
        (server.call(me, "POST", "/bucket").json(&json!({ "name": "box" })), "The resource already exists"),
        (text(server.call(me, "POST", "/object/box/x")).body("x"), "The resource already exists"),
        (
            text(server.call(Who::User(OTHER), "PUT", "/object/box/y")).body("x"),
            "new row violates row-level security policy",
        ),
        (
            text(server.call(me, "PUT", "/object/box/y")).body("long"),
            "The object exceeded the maximum allowed size",
        ),
        (
            server.call(me, "PUT", "/object/box/y").header("content-type", "a/b").body("x"),
            "mime type a/b is not supported",
        ),
        (text(server.call(me, "PUT", "/object/box/a//b")).body("x"), "Invalid key: a//b"),
        (server.call(me, "DELETE", "/bucket/box"), "The bucket you tried to delete is not empty"),
    ] {
        let reply = call.send().await;
        assert_eq!(reply.json()["message"], message, "{}: {}", reply.what, reply.text());
    }
}

#[tokio::test]
async fn a_request_has_an_id_of_the_servers_own() {
    let server = Server::start();
    let mut ids = BTreeSet::new();
    for path in ["/healthz", "/storage/v1/bucket", "/storage/v1/bucket/x", "/nothing"] {
        let call = server.request(Who::Anon, "GET", path).header("x-request-id", "chosen-by-me");
        let reply = call.send().await;
        let id = reply.header("x-request-id").to_owned();
        assert!(!id.is_empty() && id != "chosen-by-me", "{path}: {id}");
        assert!(ids.insert(id), "{path}");
    }
}

#[tokio::test]
async fn neither_answers_nor_logs_show_secrets_or_what_is_inside() {
    let server = Server::start_with(&[("AEROSTORE_LOG_LEVEL", "debug")]);
    let me = Who::User(OWNER);
    let mut secrets = vec![server.token(me)];
    secrets.extend(
        ["anon_key", "service_key", "jwt_secret", "s3_secret_access_key"].map(|name| server.key(name)),
    );
    server.bucket(me, "box", "private").await;
    server.put(me, "box/file", pattern_of_secrets()).await;
    let signed = server.call(me, "POST", "/object/sign/box/file").send().await.expect_status(200).json();
    let url = signed["signedURL"].as_str().unwrap().to_owned();
    secrets.push(url.split("token=").nth(1).unwrap().split('&').next().unwrap().to_owned());
    let upload =
        server.call(me, "POST", "/object/upload/sign/box/new").send().await.expect_status(200).json();
    secrets.push(upload["token"].as_str().unwrap().to_owned());

    let mut said = String::new();
    let upload_path = format!("/object/upload/sign/box/other?token={}", secrets[secrets.len() - 1]);
    let mut calls = vec![
        server.call(Who::Anon, "GET", &url),
        server.call(Who::Anon, "GET", &url.replace("file", "elsewhere")),
        server.call(Who::Anon, "PUT", &upload_path).body("x"),
        server.call(me, "GET", "/object/box/nothing"),
        server.call(me, "PUT", "/object/box/a%00").body("x"),
    ];
    for secret in &secrets {
        calls.push(server.call(Who::Anon, "GET", "/object/box/file").bearer(&format!("{secret}x")));
        calls
            .push(server.call(Who::Anon, "GET", "/object/box/file").header("apikey", &format!("{secret}.y")));
        calls.push(server.call(Who::Anon, "GET", &format!("/object/sign/box/file?token={secret}z")));
        calls.push(server.call(me, "GET", &format!("/bucket?apikey={secret}")));
        calls.push(server.call(me, "GET", &format!("/nothing?token={secret}")));
    }
    for call in calls {
        let reply = call.send().await;
        said.push_str(&reply.text());
        said.push_str(&format!("{:?}", reply.headers));
    }
    server.call(Who::Service, "GET", "/object/box/the-last").send().await.expect_status(404);
    let log = server.log_until("the-last").await;
    assert!(log.contains("request_id"), "the log has a line for each operation: {log}");
    for secret in &secrets {
        assert!(!said.contains(secret.as_str()), "an answer shows a secret");
        assert!(!log.contains(secret.as_str()), "the log shows a secret");
    }
    let data_dir = server.data_dir().to_str().unwrap().to_owned();
    for inner in [&*data_dir, "sqlite", "SQLITE", "rusqlite", "storage_objects", "src/", "panicked", ".rs:"] {
        assert!(!said.contains(inner), "an answer shows {inner}");
    }
}

fn pattern_of_secrets() -> &'static str {
    "contents are nobody's business either"
}
