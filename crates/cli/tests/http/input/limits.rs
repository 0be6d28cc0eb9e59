//! Kinds and sizes of bodies, and the order in which an upload is refused.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::{expect_nothing, head};
use crate::support::{OTHER, OWNER, Server, Who, exchange, open, pattern, read_reply};

/// The final status of an upload that waits for leave to send its body. The body is never sent.
async fn asked_first(server: &Server, who: Who, target: &str, lines: &str) -> (u16, String) {
    let lines = format!("expect: 100-continue\r\n{lines}");
    let mut connection = open(server.address, head(server, who, "PUT", target, &lines)).await;
    let reply = read_reply(&mut connection).await;
    (reply.status, reply.code())
}

#[tokio::test]
async fn an_upload_is_refused_before_a_byte_of_it_is_read() {
    let server = Server::start_with(&[("AEROSTORE_STORAGE_MAX_FILE_SIZE", "5000")]);
    server
        .bucket_with(
            Who::User(OWNER),
            json!({ "name": "inbox", "allowed_mime_types": ["image/*"], "max_file_size": 3000, "quota_bytes": 2000 }),
        )
        .await;
    server.bucket(Who::User(OWNER), "plain", "private").await;
    server.put(Who::User(OWNER), "plain/there", "x").await;
    let owner = Who::User(OWNER);
    // Each breaks its own rule and all that come after it: the order of SPEC 6.
    for (who, target, lines, status, code) in [
        (Who::Anon, "inbox/../x", "content-type: text/html\r\ncontent-length: 9000\r\n", 400, "INVALID_PATH"),
        (Who::Anon, "missing/x", "content-type: text/html\r\ncontent-length: 9000\r\n", 401, "AUTH_REQUIRED"),
        (Who::Anon, "inbox/x", "content-type: text/html\r\ncontent-length: 9000\r\n", 401, "AUTH_REQUIRED"),
        (owner, "missing/../x", "content-type: text/html\r\ncontent-length: 9000\r\n", 400, "INVALID_PATH"),
        (owner, "missing/x", "content-type: text/html\r\ncontent-length: 9000\r\n", 404, "BUCKET_NOT_FOUND"),
        (
            Who::User(OTHER),
            "inbox/x",
            "content-type: text/html\r\ncontent-length: 9000\r\n",
            403,
            "STORAGE_UNAUTHORIZED",
        ),
        (
            owner,
            "inbox/x",
            "content-type: text/html\r\ncontent-length: 9000\r\n",
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (
            owner,
            "inbox/x",
            "content-type: text/html\r\ntransfer-encoding: chunked\r\n",
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (owner, "inbox/x", "content-type: image/png\r\ncontent-length: 3001\r\n", 413, "PAYLOAD_TOO_LARGE"),
        (owner, "plain/x", "content-type: image/png\r\ncontent-length: 5001\r\n", 413, "PAYLOAD_TOO_LARGE"),
        (owner, "inbox/x", "content-type: image/png\r\ncontent-length: 2001\r\n", 507, "QUOTA_EXCEEDED"),
        (owner, "plain/there", "if-none-match: *\r\ncontent-length: 10\r\n", 412, "PRECONDITION_FAILED"),
        (owner, "plain/x", "if-match: *\r\ncontent-length: 10\r\n", 412, "PRECONDITION_FAILED"),
        (owner, "inbox/x", "content-type: image/png\r\ncontent-length: 2000\r\n", 100, ""),
    ] {
        let target = format!("/storage/v1/object/{target}");
        let (got, said) = asked_first(&server, who, &target, lines).await;
        assert_eq!((got, &*said), (status, code), "{who:?} {target} {lines}");
    }
    let bad_token = "PUT /storage/v1/object/inbox/../x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer x\r\n\
                     expect: 100-continue\r\ncontent-length: 9000\r\n\r\n";
    let reply = exchange(server.address, bad_token).await;
    assert_eq!((reply.status, &*reply.code()), (401, "INVALID_TOKEN"), "the token comes first");
    // A path that is taken.
    let taken = head(
        &server,
        owner,
        "POST",
        "/storage/v1/object/plain/there",
        "expect: 100-continue\r\ncontent-length: 9\r\n",
    );
    let reply = exchange(server.address, taken).await;
    assert_eq!((reply.status, &*reply.code()), (409, "OBJECT_EXISTS"));
    assert_eq!(server.content("plain/there").await.as_deref(), Some(&b"x"[..]));
    expect_nothing(&server, "inbox").await;
}

#[tokio::test]
async fn mime_types_are_matched_exactly_or_by_family() {
    let server = Server::start();
    let body = json!({ "name": "inbox", "allowed_mime_types": ["image/*", "text/plain"] });
    server.bucket_with(Who::User(OWNER), body).await;
    for (kind, status) in [
        ("image/png", 200),
        ("image/svg+xml", 200),
        ("IMAGE/PNG", 200),
        ("text/plain", 200),
        ("text/plain; charset=utf-8", 200),
        ("text/html", 415),
        ("text/plainer", 415),
        ("imagex/png", 415),
        ("application/octet-stream", 415),
        ("video/image/*", 415),
        ("text/html; x=image/png", 415),
        ("", 415),
    ] {
        let call = server.call(Who::User(OWNER), "PUT", "/object/inbox/x").body("x");
        let call = if kind.is_empty() { call } else { call.header("content-type", kind) };
        let reply = call.send().await;
        assert_eq!(reply.status, status, "{kind}: {}", reply.text());
        if status == 415 {
            let body = reply.json();
            assert_eq!(body["code"], "UNSUPPORTED_MEDIA_TYPE");
            assert!(body["message"].as_str().unwrap().starts_with("mime type "), "{body}");
        }
    }
    // A form's file has its own type, and the form's is not it.
    let form = "--b\r\ncontent-disposition: form-data; name=\"\"; filename=\"a\"\r\ncontent-type: text/html\r\n\r\nx\r\n--b--\r\n";
    let call = server.call(Who::User(OWNER), "PUT", "/object/inbox/form").body(form);
    let call = call.header("content-type", "multipart/form-data; boundary=b");
    call.send().await.expect_error(415, "UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(server.content("inbox/form").await, None);
    for patterns in
        [json!(["nonsense"]), json!([""]), json!(["*"]), json!(["a/b/c"]), json!("image/png"), json!([1])]
    {
        let body = json!({ "name": "other", "allowed_mime_types": patterns });
        let reply = server.call(Who::User(OWNER), "POST", "/bucket").json(&body).send().await;
        if body["allowed_mime_types"] == json!(["*"]) && reply.status == 201 {
            continue;
        }
        reply.expect_error(400, "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn a_form_is_not_read_for_ever_between_its_fields() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "inbox", "private").await;
    let field = "--b\r\ncontent-disposition: form-data; name=\"note\"\r\n\r\n1\r\n";
    for start in [String::new(), format!("{field}--b\r\nx-more: ")] {
        let lines = "content-type: multipart/form-data; boundary=b\r\ncontent-length: 9000000\r\n";
        let request = head(&server, Who::User(OWNER), "PUT", "/storage/v1/object/inbox/x", lines);
        let mut connection = open(server.address, request + &start).await;
        // What is read ahead with a field does not count, and the network decides how much that is.
        connection.write_all(&[b'x'; 256 * 1024]).await.unwrap();
        let reply = read_reply(&mut connection).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "INVALID_REQUEST"), "{start}");
    }
    assert_eq!(server.content("inbox/x").await, None);
}

#[tokio::test]
async fn sizes_are_limited_with_and_without_a_length() {
    let server = Server::start_with(&[("AEROSTORE_STORAGE_MAX_FILE_SIZE", "200000")]);
    for (bucket, limit) in [("small", 1000), ("large", 100_000), ("server", 0)] {
        server.bucket_with(Who::User(OWNER), json!({ "name": bucket, "max_file_size": limit })).await;
        let limit = if limit == 0 { 200_000 } else { limit };
        let target = format!("/storage/v1/object/{bucket}/x");
        for (size, status) in [(limit, 200), (limit + 1, 413), (limit + 50_000, 413)] {
            let body = pattern(size);
            let by_length =
                head(&server, Who::User(OWNER), "PUT", &target, &format!("content-length: {size}\r\n"));
            let in_chunks = head(&server, Who::User(OWNER), "PUT", &target, "transfer-encoding: chunked\r\n");
            let mut chunked = in_chunks.into_bytes();
            for part in body.chunks(40_000) {
                chunked.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                chunked.extend_from_slice(part);
                chunked.extend_from_slice(b"\r\n");
            }
            chunked.extend_from_slice(b"0\r\n\r\n");
            let form_head = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n";
            let form = [form_head.as_bytes(), &body, b"\r\n--b--\r\n"].concat();
            let lines = format!(
                "content-type: multipart/form-data; boundary=b\r\ncontent-length: {}\r\n",
                form.len()
            );
            let by_form = head(&server, Who::User(OWNER), "PUT", &target, &lines);
            for (how, request) in [
                ("a length", [by_length.as_bytes(), &body].concat()),
                ("chunks", chunked),
                ("a form", [by_form.as_bytes(), &form].concat()),
            ] {
                let mut connection = open(server.address, "").await;
                // A server that has refused need not read on.
                let _ = connection.write_all(&request).await;
                let reply = read_reply(&mut connection).await;
                let said = String::from_utf8_lossy(&reply.body).into_owned();
                assert_eq!(reply.status, status, "{bucket}: {size} by {how}: {said}");
                if status == 413 {
                    let body: Value = serde_json::from_str(&said).unwrap();
                    assert_eq!(
                        (&body["code"], &body["limit"]),
                        (&json!("PAYLOAD_TOO_LARGE"), &json!(limit)),
                        "{body}"
                    );
                    assert_eq!(
                        server.content(&format!("{bucket}/x")).await,
                        None,
                        "{bucket}: {size} by {how}"
                    );
                } else {
                    server
                        .call(Who::Service, "DELETE", &format!("/object/{bucket}/x"))
                        .send()
                        .await
                        .expect_status(204);
                }
            }
        }
        expect_nothing(&server, bucket).await;
    }
}

#[tokio::test]
async fn who_sends_all_of_it_before_reading_still_sees_why_it_was_refused() {
    let server = Server::start();
    server.bucket_with(Who::User(OWNER), json!({ "name": "box", "max_file_size": 1000 })).await;
    let body = vec![0; 30_000_000];
    let lines = format!("content-length: {}\r\n", body.len());
    for (who, target, wanted) in [
        (Who::User(OWNER), "/storage/v1/object/box/x", (413, "PAYLOAD_TOO_LARGE")),
        (Who::User(OTHER), "/storage/v1/object/box/x", (403, "STORAGE_UNAUTHORIZED")),
        (Who::User(OWNER), "/storage/v1/object/missing/x", (404, "BUCKET_NOT_FOUND")),
        (Who::User(OWNER), "/storage/v1/nothing", (404, "INVALID_REQUEST")),
    ] {
        let mut connection = open(server.address, head(&server, who, "PUT", target, &lines)).await;
        connection.write_all(&body).await.unwrap();
        let reply = read_reply(&mut connection).await;
        assert_eq!((reply.status, &*reply.code()), wanted, "{target}");
        // And the connection can be used for something better.
        connection.write_all(head(&server, who, "GET", "/storage/v1/bucket", "").as_bytes()).await.unwrap();
        assert_eq!(read_reply(&mut connection).await.status, 200, "{target}");
    }
    expect_nothing(&server, "box").await;
}
