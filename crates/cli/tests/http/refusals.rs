//! What a refusal says: which permission was missing and why, which parameter is wrong, what is not there yet.

use serde_json::{Value, json};

use super::support::{OTHER, OWNER, Server, Who};

#[tokio::test]
async fn a_refusal_names_the_permission_and_does_not_say_things_twice() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "closed", "private").await;
    server.bucket(Who::Service, "open", "public").await;
    server.put(Who::User(OWNER), "open/hers", "x").await;
    let other = Who::User(OTHER);
    let policy = "the bucket's policy does not grant it to the caller";
    let role = "the caller's role does not have it";
    let owner = "only the owner of the object or of the bucket has it";
    for (call, permission, bucket, reason) in [
        (server.call(other, "GET", "/object/closed/x"), "object:read", json!("closed"), policy),
        (server.call(other, "PUT", "/object/closed/x").body("x"), "object:create", json!("closed"), policy),
        (server.call(other, "PUT", "/object/open/hers").body("x"), "object:overwrite", json!("open"), owner),
        (server.call(other, "DELETE", "/object/open/hers"), "object:delete", json!("open"), owner),
        (server.call(other, "GET", "/bucket/closed"), "bucket:read", json!("closed"), policy),
        (
            server.call(other, "PATCH", "/bucket/closed").json(&json!({"public": true})),
            "bucket:update",
            json!("closed"),
            policy,
        ),
        (server.call(other, "DELETE", "/bucket/closed"), "bucket:delete", json!("closed"), policy),
        (
            server.call(Who::Anon, "POST", "/bucket").json(&json!({"name": "mine"})),
            "bucket:create",
            json!("mine"),
            role,
        ),
        (server.call(Who::Anon, "PUT", "/object/open/x").body("x"), "object:create", json!("open"), role),
        (server.request(Who::Anon, "GET", "/api/v1/storage/usage"), "usage:read", Value::Null, role),
        (server.request(other, "GET", "/api/v1/storage/cleanup"), "server:maintain", Value::Null, role),
    ] {
        let reply = call.send().await;
        let body = reply.json();
        assert_eq!(body["permission"], permission, "{}: {body}", reply.what);
        assert_eq!((&body["bucket"], &body["reason"]), (&bucket, &json!(reason)), "{}: {body}", reply.what);
        let message = body["message"].as_str().unwrap();
        assert!(!message.contains(reason) && !reason.contains(message), "{}: {body}", reply.what);
    }
}

#[tokio::test]
async fn a_bad_expiry_is_named_where_it_stands() {
    let server = Server::start();
    let me = Who::User(OWNER);
    server.bucket(me, "box", "private").await;
    server.put(me, "box/file", "x").await;
    for (path, body, place) in [
        ("?expires_in=0", json!({}), "querystring/expires_in must be >= 1"),
        ("?expires_in=soon", json!({}), "querystring/expires_in must be integer"),
        ("?single_use=perhaps", json!({}), "querystring/single_use must be boolean"),
        ("", json!({ "expiresIn": 0 }), "body/expiresIn must be >= 1"),
        ("?expires_in=60", json!({ "expiresIn": 0 }), "body/expiresIn must be >= 1"),
        ("", json!({ "expiresIn": "soon" }), "body/expiresIn must be integer"),
        ("?expires_in=99999999999", json!({}), "expiry must be between 1 and"),
    ] {
        for route in ["/object/sign/box/file", "/object/upload/sign/box/new"] {
            let reply = server.call(me, "POST", &format!("{route}{path}")).json(&body).send().await;
            let reply = reply.expect_error(400, "INVALID_REQUEST").json();
            let message = reply["message"].as_str().unwrap();
            assert!(message.starts_with(place), "{route}{path} {body}: {message}");
        }
    }
}
