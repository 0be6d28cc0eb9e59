//! Routes that are not there, clients that go away, and what is no HTTP.

use tokio::io::AsyncWriteExt;

use super::{expect_files, head};
use crate::support::{OWNER, Server, Who, open, pattern};

#[tokio::test]
async fn unknown_routes_are_404_and_wrong_methods_405() {
    let server = Server::start();
    for (method, path, status) in [
        ("GET", "/", 404),
        ("GET", "/nothing", 404),
        ("GET", "/storage/v1", 404),
        ("GET", "/storage/v1/nothing", 404),
        ("GET", "/storage/v2/bucket", 404),
        ("GET", "/api/v1/storage/nothing", 404),
        ("POST", "/storage/v1/object/nothing-here", 404),
        ("GET", "/STORAGE/V1/bucket", 404),
        ("DELETE", "/storage/v1/bucket", 405),
        ("TRACE", "/storage/v1/bucket", 405),
        ("PUT", "/storage/v1/object/copy", 405),
        ("PATCH", "/storage/v1/object/inbox/x", 405),
        ("BREW", "/storage/v1/bucket", 405),
        ("DELETE", "/api/v1/storage/usage", 405),
    ] {
        let reply = server.request(Who::Service, method, path).send().await;
        let body = reply.json();
        // A path under /object may be a known route with another method.
        let right =
            reply.status == status || path == "/storage/v1/object/nothing-here" && reply.status == 405;
        assert!(right, "{method} {path}: {} {body}", reply.status);
        assert_eq!(body["code"], "INVALID_REQUEST", "{method} {path}: {body}");
        assert_eq!(body["statusCode"], reply.status.to_string(), "{method} {path}: {body}");
        let words = if reply.status == 405 { "is not allowed for" } else { "not found" };
        assert!(body["message"].as_str().unwrap().contains(words), "{method} {path}: {body}");
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_nothing() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "inbox", "private").await;
    server.bucket(Who::User(OWNER), "kept", "private").await;
    server.put(Who::User(OWNER), "kept/x", pattern(300_000)).await;
    let body = pattern(600_000);
    let form = b"--b\r\ncontent-disposition: form-data; name=\"\"; filename=\"x\"\r\n\r\n";
    for (lines, sent) in [
        ("content-length: 600000\r\n", &body[..0]),
        ("content-length: 600000\r\n", &body[..400_000]),
        ("content-length: 600000\r\n", &body[..599_999]),
        ("content-length: 5000\r\n", &body[..3000]),
        ("transfer-encoding: chunked\r\n", b"10\r\n0123456789abcdef\r\n"),
        ("transfer-encoding: chunked\r\n", b"10\r\n01234"),
        (
            "content-type: multipart/form-data; boundary=b\r\ntransfer-encoding: chunked\r\n",
            b"47\r\n--b\r\ncontent",
        ),
        ("content-type: multipart/form-data; boundary=b\r\ncontent-length: 9000\r\n", form),
    ] {
        for bucket in ["inbox", "kept"] {
            let target = format!("/storage/v1/object/{bucket}/x");
            let mut connection =
                open(server.address, head(&server, Who::User(OWNER), "PUT", &target, lines)).await;
            connection.write_all(sent).await.unwrap();
            drop(connection);
        }
        // Half a connection: the body ends too soon, and the client still listens.
        let target = "/storage/v1/object/inbox/x";
        let mut connection =
            open(server.address, head(&server, Who::User(OWNER), "PUT", target, lines)).await;
        connection.write_all(sent).await.unwrap();
        connection.shutdown().await.unwrap();
    }
    // A form that ends without its end.
    let call = server.call(Who::User(OWNER), "PUT", "/object/inbox/x").body([form, &body[..]].concat());
    let call = call.header("content-type", "multipart/form-data; boundary=b");
    call.send().await.expect_error(400, "INVALID_REQUEST");

    expect_files(&server, 1).await;
    assert_eq!(server.content("inbox/x").await, None);
    assert!(server.content("kept/x").await == Some(pattern(300_000)), "what was there is as it was");
    server.expect_clean().await;
}

#[tokio::test]
async fn the_server_survives_what_is_no_http() {
    let server = Server::start();
    for nonsense in [
        &b"\r\n\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET /storage/v1/bucket\r\n\r\n",
        b"GET /storage/v1/\x00 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PUT /storage/v1/object/a/b HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"PUT /storage/v1/object/a/b HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        b"PUT /storage/v1/object/a/b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let mut connection = open(server.address, nonsense).await;
        let _ = connection.shutdown().await;
        drop(connection);
    }
    let huge = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(1 << 20));
    let mut connection = open(server.address, "").await;
    let _ = connection.write_all(huge.as_bytes()).await;
    server.call(Who::Service, "GET", "/bucket").send().await.expect_status(200);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
