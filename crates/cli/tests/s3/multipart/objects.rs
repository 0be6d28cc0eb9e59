//! What becomes of an upload: its bytes, its tag, its headers, its parts.

use super::{PART, Uploads, begin_ask, bytes, complete_ask, element, elements, part_ask};
use crate::signer::{Ask, sha256};
use crate::support::{Server, Who};
use crate::{client, expect, signer};

#[tokio::test]
async fn parts_in_any_order_become_one_object() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    let us = Uploads { s3: &s3, key: &key };
    server.bucket(Who::Service, "parts", "private").await;
    let path = "/parts/a%20b/whole";
    let described = begin_ask(path)
        .header("content-type", "text/x")
        .header("cache-control", "max-age=5")
        .header("content-disposition", "attachment")
        .header("x-amz-meta-own", "1")
        .header("x-amz-tagging", "k=v");
    let upload = us.begin_with(described).await;
    let bodies = [bytes(PART, 1), bytes(PART + 7, 2), bytes(3, 3)];
    let mut parts = Vec::new();
    for number in [3_u32, 1, 2] {
        // The one that comes last under a number counts.
        if number == 2 {
            us.part(path, &upload, 2, b"replaced").await;
        }
        parts.push(us.part(path, &upload, number * 10, &bodies[number as usize - 1]).await);
    }
    us.part(path, &upload, 15, b"left out").await;
    us.part(path, &upload, 10_000, b"left out, too").await;
    parts.sort();
    let listed = us.send(Ask::new("GET", path).query("uploadId", &upload)).await.text();
    assert_eq!(elements(&listed, "PartNumber"), ["2", "10", "15", "20", "30", "10000"]);
    // Nothing is there before the end.
    expect(&us.send(Ask::new("GET", path)).await, 404, "NoSuchKey");
    let made = us.complete(path, &upload, &parts).await;
    let tag = element(&made, "ETag");
    assert!(tag.ends_with("-3\""), "{tag}");
    assert_eq!((element(&made, "Bucket"), element(&made, "Key")), ("parts".into(), "a b/whole".into()));

    let whole = bodies.concat();
    let get = us.send(Ask::new("GET", path)).await;
    assert_eq!(sha256(&get.body), sha256(&whole));
    assert_eq!(get.header("etag"), tag);
    for (name, value) in [
        ("content-type", "text/x"),
        ("cache-control", "max-age=5"),
        ("content-disposition", "attachment"),
        ("x-amz-meta-own", "1"),
        ("x-amz-tagging-count", "1"),
    ] {
        assert_eq!(get.header(name), value, "{name}");
    }
    // Over the border of two parts.
    let range =
        us.send(Ask::new("GET", path).header("range", &format!("bytes={}-{}", PART - 2, PART + 1))).await;
    assert_eq!((range.status, &range.body[..]), (206, &whole[PART - 2..PART + 2]));

    // Who asks again is told again, as long as it is so; the upload itself is gone.
    assert_eq!(us.complete(path, &upload, &parts).await, made);
    let other = us.send(complete_ask(path, &upload, &parts[..1])).await;
    expect(&other, 404, "NoSuchUpload");
    expect(&us.send(part_ask(path, &upload, 1).body("1")).await, 404, "NoSuchUpload");
    expect(&us.send(Ask::new("GET", path).query("uploadId", &upload)).await, 404, "NoSuchUpload");
    expect(&us.send(Ask::new("DELETE", path).query("uploadId", &upload)).await, 404, "NoSuchUpload");
    expect(&us.send(Ask::new("PUT", path).body("over it")).await, 200, "");
    expect(&us.send(complete_ask(path, &upload, &parts)).await, 404, "NoSuchUpload");
    server.expect_clean().await;
}

#[tokio::test]
async fn parts_are_read_one_by_one() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    let us = Uploads { s3: &s3, key: &key };
    server.bucket(Who::Service, "parts", "private").await;
    let bodies = [bytes(PART, 1), bytes(PART, 2), bytes(10, 3)];
    us.upload("/parts/x", &[&bodies[0], &bodies[1], &bodies[2]]).await;
    us.upload("/parts/one", &[b"one"]).await;
    let copy = Ask::new("PUT", "/parts/copy").header("x-amz-copy-source", "parts/x");
    expect(&us.send(copy).await, 200, "");
    for path in ["/parts/x", "/parts/copy"] {
        for (number, body) in (1..).zip(&bodies) {
            let ask = |method| Ask::new(method, path).query("partNumber", &number.to_string());
            let (get, head) = (us.send(ask("GET")).await, us.send(ask("HEAD")).await);
            assert_eq!((get.status, head.status), (206, 206), "{path} {number}");
            assert_eq!(sha256(&get.body), sha256(body), "{path} {number}");
            for reply in [get, head] {
                assert_eq!(reply.header("x-amz-mp-parts-count"), "3");
                assert_eq!(reply.header("content-length"), body.len().to_string());
            }
        }
        for wrong in ["0", "4", "x"] {
            let reply = us.send(Ask::new("GET", path).query("partNumber", wrong)).await;
            assert!(matches!(reply.status, 400 | 416), "{wrong}: {}", reply.text());
        }
    }
    let one = us.send(Ask::new("GET", "/parts/one").query("partNumber", "1")).await;
    assert_eq!((one.text().as_str(), one.header("x-amz-mp-parts-count")), ("one", "1"));
    let both = Ask::new("GET", "/parts/x").query("partNumber", "1").header("range", "bytes=0-1");
    expect(&us.send(both).await, 400, "InvalidRequest");

    let attributes = async |more: &[(&str, &str)]| {
        let ask = Ask::new("GET", "/parts/x").query("attributes", "");
        let ask = ask.header("x-amz-object-attributes", "ObjectParts,ObjectSize,ETag");
        us.send(more.iter().fold(ask, |ask, (name, value)| ask.header(name, value))).await.text()
    };
    let all = attributes(&[]).await;
    assert_eq!(element(&all, "PartsCount"), "3", "{all}");
    assert_eq!(elements(&all, "PartNumber"), ["1", "2", "3"], "{all}");
    let page = attributes(&[("x-amz-max-parts", "1"), ("x-amz-part-number-marker", "1")]).await;
    assert_eq!(
        (elements(&page, "PartNumber"), element(&page, "NextPartNumberMarker")),
        (vec!["2".to_owned()], "2".to_owned())
    );
    assert_eq!(element(&all, "ObjectSize"), (2 * PART + 10).to_string());
}

#[tokio::test]
async fn an_upload_is_completed_under_a_condition() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    let us = Uploads { s3: &s3, key: &key };
    server.bucket(Who::Service, "parts", "private").await;
    let path = "/parts/x";
    let (first, second) = (us.begin(path).await, us.begin(path).await);
    let one = [us.part(path, &first, 1, b"one").await];
    let two = [us.part(path, &second, 1, b"two").await];
    let new = complete_ask(path, &first, &one).header("if-none-match", "*");
    let made = us.send(new).await;
    expect(&made, 200, "");
    let tag = element(&made.text(), "ETag");
    let again = complete_ask(path, &second, &two).header("if-none-match", "*");
    expect(&us.send(again).await, 412, "PreconditionFailed");
    let other = complete_ask(path, &second, &two).header("if-match", "\"other\"");
    expect(&us.send(other).await, 412, "PreconditionFailed");
    assert_eq!(us.send(Ask::new("GET", path)).await.text(), "one");
    expect(&us.send(complete_ask(path, &second, &two).header("if-match", &tag)).await, 200, "");
    assert_eq!(us.send(Ask::new("GET", path)).await.text(), "two");
    server.expect_clean().await;
}

#[tokio::test]
async fn a_part_is_copied_from_what_its_caller_may_read() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    let us = Uploads { s3: &s3, key: &key };
    server.bucket(Who::Service, "parts", "private").await;
    let source = bytes(PART + 100, 9);
    expect(&us.send(Ask::new("PUT", "/parts/so%20urce").body(source.clone())).await, 200, "");
    let tag = us.send(Ask::new("HEAD", "/parts/so%20urce")).await.header("etag").to_owned();
    let path = "/parts/copy";
    let upload = us.begin(path).await;
    let copy = |number, range: &str| {
        let ask = part_ask(path, &upload, number).header("x-amz-copy-source", "parts/so%20urce");
        if range.is_empty() { ask } else { ask.header("x-amz-copy-source-range", range) }
    };
    let mut parts = Vec::new();
    for (number, range) in [(1, ""), (2, "bytes=10-5242899"), (3, "bytes=5242970-5242979")] {
        let reply = us.send(copy(number, range)).await;
        expect(&reply, 200, "");
        parts.push((number, element(&reply.text(), "ETag")));
    }
    for (ask, status, code) in [
        (copy(4, "bytes=0-5242980"), 416, "InvalidRange"),
        (copy(4, "bytes=5-1"), 400, "InvalidArgument"),
        (copy(4, "0-1"), 400, "InvalidArgument"),
        (copy(4, "").header("x-amz-copy-source-if-match", "\"other\""), 412, "PreconditionFailed"),
        (copy(4, "").header("x-amz-copy-source-if-none-match", &tag), 412, "PreconditionFailed"),
        (part_ask(path, &upload, 4).header("x-amz-copy-source", "parts/nothing"), 404, "NoSuchKey"),
        (part_ask(path, &upload, 0).header("x-amz-copy-source", "parts/so%20urce"), 400, "InvalidArgument"),
    ] {
        expect(&us.send(ask).await, status, code);
    }
    us.complete(path, &upload, &parts).await;
    let whole = [&source[..], &source[10..5_242_900], &source[5_242_970..]].concat();
    assert_eq!(sha256(&us.send(Ask::new("GET", path)).await.body), sha256(&whole));
    server.expect_clean().await;
}
