//! Checksums of parts and of what they become.

use super::{PART, Uploads, begin_ask, bytes, complete_ask, document, element, elements, part_ask};
use crate::signer::{Ask, sha256};
use crate::support::{Server, Who};
use crate::{client, expect, signer};

/// As the standard says of "123456789", and of nothing else that comes here.
const CRC32: &str = "y/Q5Jg==";
const SHA256: &str = "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=";

#[tokio::test]
async fn a_part_that_is_not_what_was_announced_is_not_kept() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    let us = Uploads { s3: &s3, key: &key };
    server.bucket(Who::Service, "parts", "private").await;
    let path = "/parts/x";
    let upload = us.begin(path).await;
    let put = || part_ask(path, &upload, 1).body("other than announced");
    for (name, value) in [
        ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ("x-amz-checksum-crc32", CRC32),
        ("x-amz-checksum-sha256", SHA256),
    ] {
        expect(&us.send(put().header(name, value)).await, 400, "BadDigest");
    }
    let wrong = key.by_header(put(), &s3.host, &sha256(b"else")).0;
    expect(&s3.send(wrong).await, 400, "XAmzContentSHA256Mismatch");
    let trailer = ("x-amz-checksum-crc32", CRC32);
    let wrong = key.with_trailer(part_ask(path, &upload, 1), &s3.host, &bytes(600_000, 1), trailer);
    expect(&s3.send(wrong).await, 400, "BadDigest");
    let listed = us.send(Ask::new("GET", path).query("uploadId", &upload)).await.text();
    assert_eq!(elements(&listed, "PartNumber"), Vec::<String>::new());
    assert_eq!(server.files_on_disk(), 0);
    let good = key.with_trailer(part_ask(path, &upload, 1), &s3.host, b"123456789", trailer);
    let good = s3.send(good).await;
    expect(&good, 200, "");
    assert_eq!(good.header("x-amz-checksum-crc32"), CRC32);
    server.expect_clean().await;
}

#[tokio::test]
async fn an_object_has_the_checksum_that_its_upload_was_begun_with() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    let us = Uploads { s3: &s3, key: &key };
    server.bucket(Who::Service, "parts", "private").await;
    let bodies = [bytes(PART, 1), bytes(PART, 2), bytes(10, 3)];
    // What another program computes of the whole comes of a plain upload of the same bytes.
    for (algorithm, kind) in [
        ("CRC32", "COMPOSITE"),
        ("CRC32C", "COMPOSITE"),
        ("SHA1", "COMPOSITE"),
        ("SHA256", "COMPOSITE"),
        ("CRC32", "FULL_OBJECT"),
        ("CRC32C", "FULL_OBJECT"),
        ("CRC64NVME", "FULL_OBJECT"),
    ] {
        let path = format!("/parts/{algorithm}-{kind}");
        let name = format!("x-amz-checksum-{}", algorithm.to_lowercase());
        let begin = begin_ask(&path).header("x-amz-checksum-algorithm", algorithm);
        let upload = us.begin_with(begin.header("x-amz-checksum-type", kind)).await;
        let (mut parts, mut xml) = (Vec::new(), String::new());
        for (number, body) in (1..).zip(&bodies) {
            let reply = us.send(part_ask(&path, &upload, number).body(body.clone())).await;
            expect(&reply, 200, "");
            let (tag, checksum) = (reply.header("etag"), reply.header(&name));
            assert!(!checksum.is_empty(), "{algorithm}");
            parts.push((number, tag.to_owned()));
            xml += &format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag>\
                 <Checksum{algorithm}>{checksum}</Checksum{algorithm}></Part>"
            );
        }
        let xml = format!("<CompleteMultipartUpload>{xml}</CompleteMultipartUpload>");
        let finish = |body: String| Ask::new("POST", &path).query("uploadId", &upload).body(body);
        let value = match algorithm {
            "CRC64NVME" => "AAAAAAAAAAA=",
            "SHA1" => "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "SHA256" => SHA256,
            _ => CRC32,
        };
        expect(&us.send(finish(xml.clone()).header(&name, value)).await, 400, "BadDigest");
        let wrong = xml.replacen(&element(&xml, &format!("Checksum{algorithm}")), value, 1);
        expect(&us.send(finish(wrong)).await, 400, "InvalidPart");
        let done = us.send(finish(xml)).await;
        expect(&done, 200, "");
        let checksum = element(&done.text(), &format!("Checksum{algorithm}"));
        assert_eq!(checksum.ends_with("-3"), kind == "COMPOSITE", "{checksum}");
        assert_eq!(element(&done.text(), "ChecksumType"), kind);
        let head = us.send(Ask::new("HEAD", &path).header("x-amz-checksum-mode", "ENABLED")).await;
        assert_eq!((head.header(&name), head.header("x-amz-checksum-type")), (checksum.as_str(), kind));
        if kind == "FULL_OBJECT" {
            let plain = Ask::new("PUT", "/parts/plain").body(bodies.concat());
            let plain = us.send(plain.header(&name, &checksum)).await;
            expect(&plain, 200, "");
        }
        let attributes = Ask::new("GET", &path).query("attributes", "");
        let attributes = attributes.header("x-amz-object-attributes", "Checksum,ObjectParts");
        let attributes = us.send(attributes).await.text();
        assert_eq!(element(&attributes, "ChecksumType"), kind, "{attributes}");
        let found = elements(&attributes, &format!("Checksum{algorithm}"));
        assert_eq!(found.len(), if kind == "COMPOSITE" { 4 } else { 1 }, "{attributes}");
        assert_eq!(elements(&attributes, "Size"), [PART.to_string(), PART.to_string(), "10".to_owned()]);
        let second =
            Ask::new("HEAD", &path).query("partNumber", "2").header("x-amz-checksum-mode", "ENABLED");
        let second = us.send(second).await;
        let wanted = if kind == "COMPOSITE" { (found[2].as_str(), kind) } else { ("", "") };
        assert_eq!((second.header(&name), second.header("x-amz-checksum-type")), wanted);
    }
    server.expect_clean().await;
}

#[tokio::test]
async fn checksums_that_can_not_be_are_refused() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    let us = Uploads { s3: &s3, key: &key };
    server.bucket(Who::Service, "parts", "private").await;
    for (algorithm, kind) in [
        ("MD5", ""),
        ("CRC7", ""),
        ("SHA1", "FULL_OBJECT"),
        ("CRC64NVME", "COMPOSITE"),
        ("", "COMPOSITE"),
        ("CRC32", "BOTH"),
    ] {
        let mut ask = begin_ask("/parts/x");
        for (name, value) in [("x-amz-checksum-algorithm", algorithm), ("x-amz-checksum-type", kind)] {
            if !value.is_empty() {
                ask = ask.header(name, value);
            }
        }
        let reply = us.send(ask).await;
        assert_eq!(reply.status, 400, "{algorithm} {kind}: {}", reply.text());
    }
    let upload = us.begin_with(begin_ask("/parts/x").header("x-amz-checksum-algorithm", "CRC32")).await;
    let other = part_ask("/parts/x", &upload, 1).header("x-amz-checksum-sha256", SHA256).body("123456789");
    expect(&us.send(other).await, 400, "InvalidRequest");
    let part = us.part("/parts/x", &upload, 1, b"123456789").await;
    let finish = || complete_ask("/parts/x", &upload, std::slice::from_ref(&part));
    expect(&us.send(finish().header("x-amz-checksum-sha256", SHA256)).await, 400, "InvalidRequest");
    expect(&us.send(finish().header("x-amz-checksum-type", "FULL_OBJECT")).await, 400, "InvalidRequest");
    expect(&us.send(finish().header("x-amz-mp-object-size", "8")).await, 400, "InvalidRequest");
    expect(&us.send(finish().header("x-amz-mp-object-size", "9")).await, 200, "");
    assert!(document(&[part]).contains("<PartNumber>1<"));
}
