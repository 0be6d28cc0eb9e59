//! The protocol's own rules: what is announced, what is answered, what is refused.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::{PIECE, append, begin, metadata, offset, place, tus};
use crate::support::{OTHER, OWNER, Server, Who, pattern};

const ME: Who = Who::User(OWNER);

#[tokio::test]
async fn options_tell_what_the_server_can() {
    let server = Server::start_with(&[("AEROSTORE_STORAGE_MAX_FILE_SIZE", "1000000")]);
    for path in ["/upload/resumable", "/upload/resumable/sign", "/upload/resumable/any"] {
        let reply = server.call(Who::Anon, "OPTIONS", path).send().await.expect_status(204);
        assert_eq!(reply.header("tus-version"), "1.0.0");
        assert_eq!(reply.header("tus-resumable"), "1.0.0");
        assert_eq!(reply.header("tus-max-size"), "1000000");
        assert_eq!(reply.header("tus-checksum-algorithm"), "sha1,sha256,md5");
        for extension in ["creation", "creation-with-upload", "termination", "checksum", "concatenation"] {
            assert!(reply.header("tus-extension").split(',').any(|one| one == extension), "{extension}");
        }
    }
    // A page asks by a preflight, and reads what it is told.
    let preflight = server.call(Who::Anon, "OPTIONS", "/upload/resumable");
    let preflight = preflight.headers(&[
        ("origin", "https://app.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,tus-resumable,upload-length,x-upsert,x-signature"),
    ]);
    let preflight = preflight.send().await;
    assert!(
        preflight.status < 300 && preflight.header("access-control-allow-headers").contains("x-signature")
    );
    let page = server.call(Who::Anon, "POST", "/upload/resumable").header("origin", "https://app.example");
    let exposed = page.send().await.header("access-control-expose-headers").to_owned();
    for header in ["location", "upload-offset", "upload-length", "upload-expires", "tus-resumable"] {
        assert!(exposed.contains(header), "{header} in {exposed}");
    }
}

#[tokio::test]
async fn an_upload_in_three_pieces_is_an_object() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    let bytes = pattern(900_000);
    let more = [("contentType", "image/png"), ("cacheControl", "60"), ("metadata", r#"{"of":"mine"}"#)];
    let told = metadata("box", "a/ü.png", &more);
    let begun = tus(&server, ME, "POST", "")
        .header("upload-metadata", &told)
        .header("upload-length", "900000")
        .send()
        .await;
    assert_eq!(begun.header("tus-resumable"), "1.0.0");
    assert!(begun.header("upload-expires").ends_with(" GMT"), "{}", begun.header("upload-expires"));
    assert!(begun.header("location").starts_with(&format!("http://{}/storage/v1/", server.address)));
    let place = place(begun);
    assert_eq!(offset(&server, ME, &place).await, 0);
    for (from, to) in [(0, 100), (100, 500_000)] {
        let reply = append(&server, ME, &place, from, &bytes[from..to]).send().await.expect_status(204);
        assert_eq!(reply.header("upload-offset"), to.to_string());
        assert!(!reply.header("upload-expires").is_empty());
        assert_eq!(server.content("box/a/%C3%BC.png").await, None);
    }
    let head = tus(&server, ME, "HEAD", &place).send().await.expect_status(200);
    assert_eq!((head.header("upload-offset"), head.header("upload-length")), ("500000", "900000"));
    assert_eq!((head.header("upload-metadata"), head.header("cache-control")), (told.as_str(), "no-store"));
    // A request that repeats what is there, or leaves something out, is told where to go on.
    for wrong in [0, 499_999, 500_001] {
        let reply = append(&server, ME, &place, wrong, b"x").send().await;
        let reply = reply.expect_error(409, "OFFSET_MISMATCH");
        assert_eq!(reply.header("upload-offset"), "500000");
    }
    let last = append(&server, ME, &place, 500_000, &bytes[500_000..]).send().await.expect_status(204);
    assert_eq!((last.header("upload-offset"), last.header("tus-complete")), ("900000", "1"));
    assert_eq!(server.content("box/a/%C3%BC.png").await.unwrap(), bytes);
    let info = server.call(ME, "GET", "/object/info/box/a/%C3%BC.png").send().await.json();
    assert_eq!(info["content_type"], "image/png");
    assert_eq!(info["cache_control"], "max-age=60");
    assert_eq!(info["user_metadata"], json!({"of": "mine"}));
    assert_eq!((&info["size"], &info["checksum"]), (&json!(900_000), &json!(null)));
    let range = server.call(ME, "GET", "/object/box/a/%C3%BC.png").header("range", "bytes=90-110");
    assert_eq!(range.send().await.expect_status(206).body, &bytes[90..111]);
    // Who did not hear that it came, asks; and deletes it as an object, not as an upload.
    let head = tus(&server, ME, "HEAD", &place).send().await.expect_status(200);
    assert_eq!((head.header("upload-offset"), head.header("upload-length")), ("900000", "900000"));
    tus(&server, ME, "DELETE", &place).send().await.expect_status(400);
    append(&server, ME, &place, 900_000, b"x").send().await.expect_error(409, "OFFSET_MISMATCH");
    server.call(ME, "DELETE", "/object/box/a/%C3%BC.png").send().await.expect_status(204);
    server.expect_clean().await;
}

#[tokio::test]
async fn many_small_pieces_leave_few_files() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    let bytes = pattern(700_000);
    let place = place(begin(&server, ME, "drops", bytes.len()).send().await);
    let mut at = 0;
    for (number, size) in [3_000, 17, 40_000, 1, 5_000].into_iter().cycle().enumerate() {
        let end = (at + size).min(bytes.len());
        append(&server, ME, &place, at, &bytes[at..end]).send().await.expect_status(204);
        at = end;
        if number % 40 == 7 {
            assert_eq!(offset(&server, ME, &place).await, at);
        }
        if at == bytes.len() {
            break;
        }
    }
    assert_eq!(server.content("box/drops").await.unwrap(), bytes);
    assert!(server.files_on_disk() <= 4, "{}", server.files_on_disk());
    server.expect_clean().await;
}

#[tokio::test]
async fn the_first_bytes_may_come_with_the_request() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    let call = begin(&server, ME, "whole", 5).headers(&[PIECE]).body("hello");
    let begun = call.send().await.expect_status(201);
    assert_eq!((begun.header("upload-offset"), begun.header("tus-complete")), ("5", "1"));
    assert_eq!(server.content("box/whole").await.unwrap(), b"hello");
    let info = server.call(ME, "GET", "/object/info/box/whole").send().await.json();
    assert_eq!(info["etag"], format!("\"{}\"", info["checksum"].as_str().unwrap()));
    let begun = begin(&server, ME, "part", 10).headers(&[PIECE]).body("hello").send().await;
    assert_eq!(begun.header("upload-offset"), "5");
    let place_of_part = place(begun);
    append(&server, ME, &place_of_part, 5, b"world").send().await.expect_status(204);
    assert_eq!(server.content("box/part").await.unwrap(), b"helloworld");
    let empty = begin(&server, ME, "empty", 0).send().await.expect_status(201);
    assert_eq!(empty.header("tus-complete"), "1");
    assert_eq!(server.content("box/empty").await.unwrap(), b"");
    // More than was said is not taken, and the upload is none.
    begin(&server, ME, "more", 3)
        .headers(&[PIECE])
        .body("hello")
        .send()
        .await
        .expect_error(413, "PAYLOAD_TOO_LARGE");
    assert_eq!(server.content("box/more").await, None);
    server.expect_clean().await;
}

#[tokio::test]
async fn the_length_may_be_said_later() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    let begun = tus(&server, ME, "POST", "")
        .header("upload-metadata", &metadata("box", "a", &[]))
        .header("upload-defer-length", "1");
    let place = place(begun.send().await);
    append(&server, ME, &place, 0, b"hello").send().await.expect_status(204);
    let head = tus(&server, ME, "HEAD", &place).send().await;
    assert_eq!((head.header("upload-defer-length"), head.header("upload-length")), ("1", ""));
    let short = append(&server, ME, &place, 5, b"").header("upload-length", "4").send().await;
    short.expect_error(400, "INVALID_REQUEST");
    append(&server, ME, &place, 5, b"wor").header("upload-length", "10").send().await.expect_status(204);
    let other = append(&server, ME, &place, 8, b"ld").header("upload-length", "11").send().await;
    other.expect_error(400, "INVALID_REQUEST");
    append(&server, ME, &place, 8, b"ldxx").send().await.expect_error(413, "PAYLOAD_TOO_LARGE");
    append(&server, ME, &place, 8, b"ld").send().await.expect_status(204);
    assert_eq!(server.content("box/a").await.unwrap(), b"helloworld");
    let info = server.call(ME, "GET", "/object/info/box/a").send().await.json();
    assert_eq!(info["content_type"], "application/octet-stream");
    server.expect_clean().await;
}

#[tokio::test]
async fn bytes_with_another_checksum_are_not_kept() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    let place = place(begin(&server, ME, "a", 600_005).send().await);
    // `sha1sum` of "hello"; then of what is large enough for a file.
    let sha1 = "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=";
    for (bytes, header, status) in [
        (&b"hell0"[..], sha1, 460),
        (&pattern(600_000), sha1, 460),
        (b"hello", "crc99 AAAA", 400),
        (b"hello", sha1, 204),
    ] {
        let before = offset(&server, ME, &place).await;
        let reply = append(&server, ME, &place, before, bytes).header("upload-checksum", header).send().await;
        let reply = reply.expect_status(status);
        if status == 460 {
            assert_eq!(reply.json()["code"], "WRONG_CHECKSUM");
            assert_eq!((offset(&server, ME, &place).await, server.files_on_disk()), (before, 0));
        }
    }
    let rest = pattern(600_000);
    let sha256 = STANDARD.encode(sha256(&rest));
    let reply = append(&server, ME, &place, 5, &rest).header("upload-checksum", &format!("sha256 {sha256}"));
    reply.send().await.expect_status(204);
    let wrong = begin(&server, ME, "b", 5).headers(&[PIECE, ("upload-checksum", sha1)]).body("hell0");
    wrong.send().await.expect_status(460);
    assert_eq!(server.content("box/a").await.unwrap(), [&b"hello"[..], &rest].concat());
    server.expect_clean().await;
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref().to_vec()
}

#[tokio::test]
async fn what_is_not_tus_is_refused() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    let old = server.call(ME, "POST", "/upload/resumable").header("tus-resumable", "0.2.2").send().await;
    assert_eq!((old.status, old.header("tus-version")), (412, "1.0.0"));
    let place = place(begin(&server, ME, "a", 5).send().await);
    for method in ["HEAD", "PATCH", "DELETE"] {
        let reply = server.call(ME, method, &format!("/upload/resumable{place}")).send().await;
        assert_eq!(reply.status, 412, "{method}");
    }
    let post = || tus(&server, ME, "POST", "");
    let told = metadata("box", "b", &[]);
    for (call, status) in [
        (post().header("upload-metadata", &told), 400),
        (post().header("upload-metadata", &told).header("upload-length", "-1"), 400),
        (post().header("upload-metadata", &told).header("upload-length", "99999999999999999999"), 400),
        (
            post()
                .header("upload-metadata", &told)
                .headers(&[("upload-length", "1"), ("upload-defer-length", "1")]),
            400,
        ),
        (post().header("upload-metadata", &told).header("upload-defer-length", "2"), 400),
        (post().header("upload-length", "1"), 400),
        (post().headers(&[("upload-length", "1"), ("upload-metadata", "bucketName !!")]), 400),
        (post().header("upload-length", "1").header("upload-metadata", &metadata("box", "../x", &[])), 400),
        (post().header("upload-length", "1").header("upload-metadata", &metadata("none", "x", &[])), 404),
        (tus(&server, ME, "PATCH", &place).header("upload-offset", "0").body("x"), 415),
        (tus(&server, ME, "PATCH", &place).headers(&[PIECE]).body("x"), 400),
        (tus(&server, ME, "HEAD", "/bm90aGluZw"), 404),
        (tus(&server, ME, "GET", &place), 405),
    ] {
        let reply = call.send().await;
        assert_eq!(reply.status, status, "{}: {}", reply.what, reply.text());
    }
    // For clients that can't send the method.
    let call = tus(&server, ME, "POST", &place).headers(&[PIECE, ("x-http-method-override", "PATCH")]);
    call.header("upload-offset", "0").body("hello").send().await.expect_status(204);
    assert_eq!(server.content("box/a").await.unwrap(), b"hello");
    server.expect_clean().await;
}

#[tokio::test]
async fn limits_and_quotas_hold_as_for_any_upload() {
    let server = Server::start();
    let limits = json!({
        "name": "box", "max_file_size": 100, "allowed_mime_types": ["text/*"], "quota_bytes": 150,
    });
    server.bucket_with(ME, limits).await;
    begin(&server, ME, "a", 101).send().await.expect_error(413, "PAYLOAD_TOO_LARGE");
    let call = tus(&server, ME, "POST", "").header("upload-length", "5");
    let image = call.header("upload-metadata", &metadata("box", "a", &[("contentType", "image/png")]));
    image.send().await.expect_error(415, "UNSUPPORTED_MEDIA_TYPE");
    let deferred = tus(&server, ME, "POST", "")
        .header("upload-metadata", &metadata("box", "long", &[("contentType", "text/plain")]))
        .header("upload-defer-length", "1");
    let long = place(deferred.send().await);
    append(&server, ME, &long, 0, &[1; 101]).send().await.expect_error(413, "PAYLOAD_TOO_LARGE");
    append(&server, ME, &long, 0, &[1; 90]).send().await.expect_status(204);
    // What is not finished counts.
    begin(&server, ME, "b", 61).send().await.expect_error(507, "QUOTA_EXCEEDED");
    server
        .call(ME, "POST", "/object/box/c")
        .header("content-type", "text/plain")
        .body(vec![0; 61])
        .send()
        .await
        .expect_error(507, "QUOTA_EXCEEDED");
    let usage = server.request(ME, "GET", "/api/v1/storage/usage").send().await.json();
    assert_eq!((&usage["total_bytes"], &usage["unfinished_bytes"]), (&json!(0), &json!(90)));
    tus(&server, ME, "DELETE", &long).send().await.expect_status(204);
    tus(&server, ME, "HEAD", &long).send().await.expect_status(404);
    let b = place(begin(&server, ME, "b", 61).send().await);
    append(&server, ME, &b, 0, &[1; 61]).send().await.expect_status(204);
    // A path that is taken is refused, unless it is to be replaced.
    begin(&server, ME, "b", 1).send().await.expect_error(409, "OBJECT_EXISTS");
    let again = place(begin(&server, ME, "b", 3).header("x-upsert", "true").send().await);
    append(&server, ME, &again, 0, b"new").send().await.expect_status(204);
    assert_eq!(server.content("box/b").await.unwrap(), b"new");
    server.expect_clean().await;
}

#[tokio::test]
async fn an_upload_is_its_makers_alone() {
    let server = Server::start();
    server.bucket(ME, "box", "authenticated").await;
    let mine = place(begin(&server, ME, "a", 10).send().await);
    append(&server, ME, &mine, 0, b"hello").send().await.expect_status(204);
    let name = String::from_utf8(URL_SAFE_NO_PAD.decode(&mine[1..]).unwrap()).unwrap();
    let nothing = format!("{}/{}", name.rsplit_once('/').unwrap().0, uuid::Uuid::now_v7());
    let nothing = format!("/{}", URL_SAFE_NO_PAD.encode(nothing));
    for (who, status) in [(Who::User(OTHER), 404), (Who::Anon, 401)] {
        for at in [&mine, &nothing] {
            for method in ["HEAD", "DELETE"] {
                let reply = tus(&server, who, method, at).send().await;
                assert_eq!(reply.status, status, "{method} {at} {who:?}");
            }
            let reply = append(&server, who, at, 5, b"world").send().await;
            assert_eq!(reply.status, status, "{who:?}: {}", reply.text());
        }
    }
    begin(&server, Who::Anon, "b", 1).send().await.expect_error(401, "AUTH_REQUIRED");
    assert_eq!(offset(&server, Who::Service, &mine).await, 5);
    append(&server, Who::Service, &mine, 5, b"world").send().await.expect_status(204);
    let info = server.call(ME, "GET", "/object/info/box/a").send().await.json();
    assert_eq!(info["owner_id"], OWNER.to_string(), "whoever completes it, it is who began it's");
    server.expect_clean().await;
}

#[tokio::test]
async fn bytes_that_nothing_takes_are_refused() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    let wrong = ("upload-checksum", "sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let empty = begin(&server, ME, "a", 0).headers(&[PIECE, wrong]).body("abc").send().await;
    assert_eq!(empty.status, 413, "{}", empty.text());
    let text = begin(&server, ME, "a", 3).header("content-type", "text/plain").body("abc").send().await;
    assert_eq!(text.status, 415, "{}", text.text());
    let partial = begin(&server, ME, "a", 3).headers(&[PIECE, ("upload-concat", "partial")]);
    let partial = partial.body("abc").send().await.expect_status(201);
    let last =
        tus(&server, ME, "POST", "").headers(&[PIECE]).header("upload-metadata", &metadata("box", "a", &[]));
    let last = last.header("upload-concat", &format!("final;{}", partial.header("location")));
    assert_eq!(last.body("abc").send().await.status, 400);
    assert_eq!(server.content("box/a").await, None);
}

#[tokio::test]
async fn an_upload_that_came_is_told_of_as_long_as_its_object_is_there() {
    let server = Server::start();
    server.bucket(Who::Service, "box", "private").await;
    let begun = begin(&server, ME, "shared", 3).headers(&[PIECE]).body("abc").send().await;
    let place = place(begun);
    assert_eq!(offset(&server, ME, &place).await, 3);
    server.call(ME, "DELETE", "/object/box/shared").send().await;
    tus(&server, ME, "HEAD", &place).send().await.expect_status(404);
    server.put(Who::User(OTHER), "box/shared", "theirs").await;
    tus(&server, ME, "HEAD", &place).send().await.expect_status(404);
}
