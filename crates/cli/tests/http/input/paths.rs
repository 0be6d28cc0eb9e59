//! Paths and bucket names, written byte by byte, as clients would tidy them up.

use serde_json::json;

use super::{expect_nothing, head};
use crate::support::{OWNER, Server, Who, exchange, open};

#[tokio::test]
async fn paths_that_no_object_can_have_are_refused_by_every_route() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "inbox", "private").await;
    let long = "a".repeat(1025);
    let wide = "%E2%82%AC".repeat(342);
    let paths = [
        "..",
        "../x",
        "../../etc/passwd",
        "a/..",
        "a/../x",
        "a/../../x",
        "%2e%2e",
        "%2e%2e/x",
        "%2E%2e%2Fx",
        ".%2e/x",
        "a/%2e%2e/x",
        "a%2F..%2Fx",
        "a%2f%2e%2e%2fx",
        "..%2f..%2fetc%2fpasswd",
        ".",
        "a/.",
        "./a",
        "a/%2e/b",
        "%2Fabs",
        "%2F..",
        "/abs",
        "/../x",
        "a%00b",
        "%00",
        "a%0Ab",
        "a%0Db",
        "a%09b",
        "a%1Fb",
        "a%7Fb",
        "a%C2%85b",
        "%ff",
        "a%C3%28",
        "%C0%AE%C0%AE/x",
        "%ED%A0%80",
        "a%",
        "a%2",
        "a%zz",
        "%u002e",
        &long,
        &wide,
    ];
    for path in paths {
        for (method, route) in [
            ("PUT", "/object/inbox/"),
            ("POST", "/object/inbox/"),
            ("GET", "/object/inbox/"),
            ("HEAD", "/object/inbox/"),
            ("DELETE", "/object/inbox/"),
            ("GET", "/object/authenticated/inbox/"),
            ("GET", "/object/public/inbox/"),
            ("GET", "/object/info/inbox/"),
            ("POST", "/object/sign/inbox/"),
            ("POST", "/object/upload/sign/inbox/"),
            ("GET", "/object/sign/inbox/"),
            ("PUT", "/object/upload/sign/inbox/"),
        ] {
            let target = format!("/storage/v1{route}{path}?token=x");
            let request = head(
                &server,
                Who::User(OWNER),
                method,
                &target,
                "content-length: 1\r\nconnection: close\r\n",
            );
            let reply = if method == "HEAD" {
                // The answer to a HEAD has a length and no body.
                let request = request.replace("content-length: 1", "x-nothing: 1");
                let reply = head_only(&server, &request).await;
                assert_eq!(reply, 400, "{method} {target}");
                continue;
            } else {
                exchange(server.address, request + "x").await
            };
            assert_eq!(
                (reply.status, &*reply.code()),
                (400, "INVALID_PATH"),
                "{method} {target}: {}",
                reply.head
            );
        }
    }
    expect_nothing(&server, "inbox").await;
}

async fn head_only(server: &Server, request: &str) -> u16 {
    use tokio::io::AsyncReadExt;
    let mut connection = open(server.address, request).await;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn paths_in_json_obey_the_same_rules() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "inbox", "private").await;
    server.put(Who::User(OWNER), "inbox/good", "x").await;
    for path in
        ["", "..", "../x", "a/../b", "a/./b", "/abs", "a\u{0}b", "a\nb", "a\u{85}b", &"a".repeat(1025)]
    {
        for (method, route, body) in [
            (
                "POST",
                "/object/copy",
                json!({ "bucketId": "inbox", "sourceKey": path, "destinationKey": "b" }),
            ),
            (
                "POST",
                "/object/copy",
                json!({ "bucketId": "inbox", "sourceKey": "good", "destinationKey": path }),
            ),
            (
                "POST",
                "/object/move",
                json!({ "bucketId": "inbox", "sourceKey": path, "destinationKey": "b" }),
            ),
            (
                "POST",
                "/object/move",
                json!({ "bucketId": "inbox", "sourceKey": "good", "destinationKey": path }),
            ),
        ] {
            let reply = server.call(Who::User(OWNER), method, route).json(&body).send().await;
            reply.expect_error(400, "INVALID_PATH");
        }
        // One bad path among good ones is refused or left out, and opens nothing.
        let body = json!({ "expiresIn": 60, "paths": [path] });
        let reply = server.call(Who::User(OWNER), "POST", "/object/sign/inbox").json(&body).send().await;
        assert!(!reply.text().contains("token="), "{path:?}: {}", reply.text());
        let body = json!({ "prefixes": [path] });
        let reply = server.call(Who::User(OWNER), "DELETE", "/object/inbox").json(&body).send().await;
        assert!(reply.status == 400 || reply.json() == json!([]), "{path:?}: {}", reply.text());
    }
    assert_eq!(server.content("inbox/good").await.as_deref(), Some(&b"x"[..]));
    server.expect_clean().await;
}

#[tokio::test]
async fn a_new_path_has_no_empty_segments_and_any_other_path_is_taken_as_it_is() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "inbox", "private").await;
    for path in ["a//b", "a/", "a//", "a%2F%2Fb", "a%2F"] {
        for method in ["PUT", "POST"] {
            let request = head(
                &server,
                Who::User(OWNER),
                method,
                &format!("/storage/v1/object/inbox/{path}"),
                "content-length: 1\r\n",
            );
            let reply = exchange(server.address, request + "x").await;
            assert_eq!((reply.status, &*reply.code()), (400, "INVALID_PATH"), "{method} {path}");
        }
        // It could have come by another protocol, so that it may be looked for.
        let request = head(&server, Who::User(OWNER), "GET", &format!("/storage/v1/object/inbox/{path}"), "");
        let reply = exchange(server.address, request).await;
        assert_eq!((reply.status, &*reply.code()), (404, "OBJECT_NOT_FOUND"), "{path}");
    }
    expect_nothing(&server, "inbox").await;

    let longest = "a".repeat(1024);
    for (sent, stored) in [
        ("%252e%252e/x", "%2e%2e/x"),
        ("a%252F..", "a%2F.."),
        ("...", "..."),
        ("..a/b..", "..a/b.."),
        ("a+b", "a+b"),
        ("a%20b%3F%23", "a b?#"),
        ("%E2%82%AC/%F0%9F%98%80", "€/😀"),
        ("a%5C..%5Cb", "a\\..\\b"),
        ("C:", "C:"),
        ("%25", "%"),
        (&longest, &longest),
    ] {
        let request = head(
            &server,
            Who::User(OWNER),
            "PUT",
            &format!("/storage/v1/object/inbox/{sent}"),
            "content-length: 1\r\n",
        );
        let reply = exchange(server.address, request + "x").await;
        assert_eq!(reply.status, 200, "{sent}: {}", String::from_utf8_lossy(&reply.body));
        let listed =
            server.call(Who::Service, "POST", "/object/list-v2/inbox").json(&json!({})).send().await.json();
        let names: Vec<_> =
            listed["objects"].as_array().unwrap().iter().map(|row| row["name"].clone()).collect();
        assert_eq!(names, [json!(stored)], "{sent} is decoded exactly once");
        let body = json!({ "prefixes": [stored] });
        server.call(Who::Service, "DELETE", "/object/inbox").json(&body).send().await.expect_status(200);
    }
    server.expect_clean().await;
}

#[tokio::test]
async fn bucket_names_have_their_rules() {
    let server = Server::start();
    let (longest, too_long) = ("a".repeat(63), "a".repeat(64));
    for name in [
        "", "a", "ab", "Abc", "a b", "a/b", "../a", "..", "a..b", "-ab", "ab-", ".ab", "ab.", "_ab",
        "1.2.3.4", "naïve", "a\u{0}b", "a\nb", "a%2fb", "a?b", &too_long,
    ] {
        let reply =
            server.call(Who::User(OWNER), "POST", "/bucket").json(&json!({ "name": name })).send().await;
        reply.expect_error(400, "INVALID_BUCKET_NAME");
    }
    for name in ["abc", "a.b", "a-b_c.d", "123", "0-0", &longest] {
        server.bucket(Who::User(OWNER), name, "private").await;
    }
    // In a URL, a name that no bucket can have.
    for (method, path) in [
        ("GET", "/storage/v1/bucket/%2e%2e"),
        ("GET", "/storage/v1/bucket/a%2Fb"),
        ("GET", "/storage/v1/bucket/a%00b"),
        ("DELETE", "/storage/v1/bucket/%ff"),
        ("GET", "/storage/v1/object/a%2Fb/c"),
        ("PUT", "/storage/v1/object/../c"),
        ("PUT", "/storage/v1/object/%2e%2e/c"),
        ("POST", "/storage/v1/object/list/%2e%2e"),
    ] {
        let request = head(&server, Who::User(OWNER), method, path, "content-length: 2\r\n");
        let reply = exchange(server.address, request + "{}").await;
        assert_eq!((reply.status, &*reply.code()), (400, "INVALID_BUCKET_NAME"), "{method} {path}");
    }
}
