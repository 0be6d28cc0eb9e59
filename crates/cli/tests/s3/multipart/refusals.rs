//! What no upload takes.

use super::{PART, Uploads, begin_ask, bytes, complete_ask, document, part_ask};
use crate::signer::Ask;
use crate::support::{Server, Who};
use crate::{client, expect, signer};

#[tokio::test]
async fn what_no_upload_can_be_made_of_is_refused() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    let us = Uploads { s3: &s3, key: &key };
    server.bucket(Who::Service, "parts", "private").await;
    let path = "/parts/x";
    let upload = us.begin(path).await;
    for (number, body) in [("0", "1"), ("10001", "1"), ("-1", "1"), ("x", "1"), ("", "1")] {
        let ask = Ask::new("PUT", path).query("uploadId", &upload).query("partNumber", number).body(body);
        expect(&us.send(ask).await, 400, "InvalidArgument");
    }
    for id in ["nothing", "0192d6a4-0000-7000-8000-000000000000", ""] {
        expect(&us.send(part_ask(path, id, 1).body("1")).await, 404, "NoSuchUpload");
        expect(&us.send(Ask::new("DELETE", path).query("uploadId", id)).await, 404, "NoSuchUpload");
        expect(&us.send(complete_ask(path, id, &[(1, "x".into())])).await, 404, "NoSuchUpload");
    }
    // It is of this object alone.
    expect(&us.send(part_ask("/parts/y", &upload, 1).body("1")).await, 404, "NoSuchUpload");
    expect(&us.send(begin_ask("/nowhere/x")).await, 404, "NoSuchBucket");
    let encrypted = begin_ask(path).header("x-amz-server-side-encryption", "AES256");
    expect(&us.send(encrypted).await, 501, "NotImplemented");
    let hashed = part_ask(path, &upload, 1).header("x-amz-checksum-xxhash64", "AAAAAAAAAAA=").body("1");
    expect(&us.send(hashed).await, 501, "NotImplemented");
    let listed = begin_ask(path).header("x-amz-acl", "public-read-write");
    expect(&us.send(listed).await, 501, "NotImplemented");

    let large = us.part(path, &upload, 1, &bytes(PART, 1)).await;
    let small = us.part(path, &upload, 2, b"small").await;
    let last = us.part(path, &upload, 3, b"last").await;
    for (body, code) in [
        (document(&[]), "MalformedXML"),
        (String::new(), "MalformedXML"),
        ("<CompleteMultipartUpload><Part></CompleteMultipartUpload>".into(), "MalformedXML"),
        ("no document".into(), "MalformedXML"),
        (document(&[(0, large.1.clone())]), "InvalidArgument"),
        (document(&[(10_001, large.1.clone())]), "InvalidArgument"),
        (document(&[last.clone(), large.clone()]), "InvalidPartOrder"),
        (document(&[large.clone(), large.clone()]), "InvalidPartOrder"),
        (document(&[large.clone(), (3, "\"other\"".into())]), "InvalidPart"),
        (document(&[large.clone(), (4, last.1.clone())]), "InvalidPart"),
        (document(&[large.clone(), small.clone(), last.clone()]), "EntityTooSmall"),
    ] {
        let ask = Ask::new("POST", path).query("uploadId", &upload).body(body.clone());
        let reply = us.send(ask).await;
        expect(&reply, 400, code);
    }
    expect(&us.send(Ask::new("GET", path)).await, 404, "NoSuchKey");
    us.complete(path, &upload, &[large, last]).await;
    server.expect_clean().await;
}

#[tokio::test]
async fn limits_hold_for_parts_and_for_all_of_them() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    let us = Uploads { s3: &s3, key: &key };
    let limited = serde_json::json!({ "name": "parts", "policy": "private", "max_file_size": PART + 10 });
    server.bucket_with(Who::Service, limited).await;
    let path = "/parts/x";
    let upload = us.begin(path).await;
    expect(&us.send(part_ask(path, &upload, 1).body(bytes(PART + 11, 1))).await, 400, "EntityTooLarge");
    let one = us.part(path, &upload, 1, &bytes(PART, 1)).await;
    let two = us.part(path, &upload, 2, &bytes(11, 1)).await;
    expect(&us.send(complete_ask(path, &upload, &[one.clone(), two])).await, 400, "EntityTooLarge");
    us.complete(path, &upload, &[one]).await;
    server.expect_clean().await;
}
