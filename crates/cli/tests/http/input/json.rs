//! JSON bodies of the wrong form, and expiries.

use serde_json::{Value, json};

use crate::support::{OWNER, Server, Who};

#[tokio::test]
async fn json_that_does_not_fit_is_400_and_too_much_of_it_413() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "inbox", "private").await;
    server.put(Who::User(OWNER), "inbox/x", "x").await;
    let routes = [
        ("POST", "/bucket"),
        ("PUT", "/bucket/inbox"),
        ("PATCH", "/bucket/inbox"),
        ("POST", "/object/copy"),
        ("POST", "/object/move"),
        ("POST", "/object/list/inbox"),
        ("POST", "/object/list-v2/inbox"),
        ("POST", "/object/sign/inbox/x"),
        ("POST", "/object/sign/inbox"),
        ("DELETE", "/object/inbox"),
    ];
    let deep_unknown = format!("{{\"unknown\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
    let huge = format!("{{\"name\":\"{}\"}}", "a".repeat(3 << 20));
    for (method, path) in routes {
        let ask = |body: Vec<u8>| {
            let call = server.call(Who::User(OWNER), method, path).header("content-type", "application/json");
            call.body(body).send()
        };
        for body in [
            &b"{"[..],
            b"}",
            b"[]",
            b"5",
            b"\"x\"",
            b"{\"a\":1,}",
            b"{'a':1}",
            b"{} {}",
            b"\xff\xfe",
            b"{\"\xff\":1}",
        ] {
            let reply = ask(body.to_vec()).await;
            assert_eq!(
                reply.status,
                400,
                "{method} {path} {:?}: {}",
                String::from_utf8_lossy(body),
                reply.text()
            );
            assert_eq!(reply.json()["code"], "INVALID_REQUEST");
        }
        // What is not looked at may be as deep as it likes.
        let reply = ask(deep_unknown.clone().into_bytes()).await;
        assert!(reply.status < 500, "{method} {path}: {}", reply.text());
        ask(huge.clone().into_bytes()).await.expect_error(413, "PAYLOAD_TOO_LARGE");
    }
    let deep = format!("{{\"transform\":{{\"a\":{}1{}}}}}", "[".repeat(5000), "]".repeat(5000));
    let call = server.call(Who::User(OWNER), "POST", "/object/sign/inbox/x").body(deep);
    call.send().await.expect_error(400, "INVALID_REQUEST");
    for (method, path, body) in [
        ("POST", "/bucket", json!({})),
        ("POST", "/bucket", json!({ "name": 5 })),
        ("POST", "/bucket", json!({ "name": [[["a"]]] })),
        ("POST", "/bucket", json!({ "name": null })),
        ("POST", "/bucket", json!({ "name": "abc", "policy": "open" })),
        ("POST", "/bucket", json!({ "name": "abc", "public": "yes" })),
        ("POST", "/bucket", json!({ "name": "abc", "max_file_size": -1 })),
        ("POST", "/bucket", json!({ "name": "abc", "max_file_size": "huge" })),
        ("POST", "/bucket", json!({ "name": "abc", "quota_bytes": -1 })),
        ("POST", "/bucket", json!({ "name": "abc", "policy": "private", "public": true })),
        ("PUT", "/bucket/inbox", json!({})),
        ("PUT", "/bucket/inbox", json!({ "public": 1 })),
        ("POST", "/object/copy", json!({ "bucketId": "inbox", "sourceKey": "x" })),
        ("POST", "/object/copy", json!({ "bucketId": 1, "sourceKey": "x", "destinationKey": "y" })),
        ("POST", "/object/move", json!({ "sourceKey": "x", "destinationKey": "y" })),
        ("POST", "/object/list/inbox", json!({ "prefix": 5 })),
        ("POST", "/object/list/inbox", json!({ "prefix": "", "limit": "many" })),
        ("POST", "/object/list/inbox", json!({ "prefix": "", "limit": -1 })),
        ("POST", "/object/list/inbox", json!({ "prefix": "", "offset": -1 })),
        ("POST", "/object/list/inbox", json!({ "prefix": "", "sortBy": { "column": "nonsense" } })),
        ("POST", "/object/list-v2/inbox", json!({ "cursor": "nonsense" })),
        ("POST", "/object/list-v2/inbox", json!({ "limit": 0 })),
        ("POST", "/object/sign/inbox", json!({ "expiresIn": 60 })),
        ("POST", "/object/sign/inbox", json!({ "expiresIn": 60, "paths": [] })),
        ("POST", "/object/sign/inbox", json!({ "expiresIn": 60, "paths": "x" })),
        ("POST", "/object/sign/inbox", json!({ "expiresIn": 60, "paths": vec!["x"; 1001] })),
        ("DELETE", "/object/inbox", json!({})),
        ("DELETE", "/object/inbox", json!({ "prefixes": [] })),
        ("DELETE", "/object/inbox", json!({ "prefixes": [1] })),
        ("DELETE", "/object/inbox", json!({ "prefixes": vec!["x"; 1001] })),
    ] {
        let reply = server.call(Who::User(OWNER), method, path).json(&body).send().await;
        assert_eq!(reply.status, 400, "{method} {path} {body:.200}: {}", reply.text());
        assert_eq!(reply.json()["code"], "INVALID_REQUEST", "{method} {path} {body:.200}");
    }
    assert_eq!(server.content("inbox/x").await.as_deref(), Some(&b"x"[..]));
}

#[tokio::test]
async fn an_expiry_is_a_number_of_seconds_within_bounds() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "inbox", "private").await;
    server.put(Who::User(OWNER), "inbox/x", "x").await;
    let sign = |path: String, body: Value| server.call(Who::User(OWNER), "POST", &path).json(&body).send();
    let year = 365 * 24 * 3600;
    for expiry in
        [json!(0), json!(-1), json!("soon"), json!(1.5), json!(1e30), json!(year + 1), json!([]), json!(true)]
    {
        for body in [json!({ "expiresIn": expiry }), json!({ "expiresIn": expiry, "paths": ["x"] })] {
            let path = if body["paths"].is_null() { "/object/sign/inbox/x" } else { "/object/sign/inbox" };
            let reply = sign(path.to_owned(), body.clone()).await;
            assert_eq!(reply.status, 400, "{path} {body}: {}", reply.text());
            assert_eq!(reply.json()["code"], "INVALID_REQUEST", "{path} {body}");
        }
    }
    for expiry in ["0", "-1", "soon", "1.5", "99999999999999999999", &(year + 1).to_string()] {
        let reply = sign(format!("/object/sign/inbox/x?expires_in={expiry}"), json!({})).await;
        assert_eq!(reply.status, 400, "{expiry}: {}", reply.text());
        assert_eq!(reply.json()["code"], "INVALID_REQUEST", "{expiry}");
    }
    for expiry in [1, 60, year] {
        sign("/object/sign/inbox/x".to_owned(), json!({ "expiresIn": expiry })).await.expect_status(200);
        sign(format!("/object/sign/inbox/x?expires_in={expiry}"), json!({})).await.expect_status(200);
    }
}
