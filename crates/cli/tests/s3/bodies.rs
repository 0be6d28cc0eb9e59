//! What a body must be: wrong digests, lengths and chunks are refused, and nothing of them is kept.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::signer::{Ask, sha256};
use crate::support::{Server, Who, pattern};
use crate::{client, expect, signer};

#[tokio::test]
async fn what_is_not_what_was_announced_is_refused_and_not_kept() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "bytes", "private").await;
    for size in [5, 40_000, 3_000_000] {
        let body = pattern(size);
        let put = || Ask::new("PUT", "/bytes/x").body(body.clone());
        let wrong = [
            (put().header("content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="), "BadDigest"),
            (put().header("content-md5", "short"), "InvalidDigest"),
            (put().header("x-amz-checksum-crc32", "AAAAAA=="), "BadDigest"),
            (put().header("x-amz-checksum-crc32c", "AAAAAA=="), "BadDigest"),
            (put().header("x-amz-checksum-crc64nvme", "AAAAAAAAAAA="), "BadDigest"),
            (put().header("x-amz-checksum-sha1", &STANDARD.encode([0; 20])), "BadDigest"),
            (put().header("x-amz-checksum-sha256", &STANDARD.encode([0; 32])), "BadDigest"),
            (put().header("x-amz-checksum-sha256", "short"), "BadDigest"),
        ];
        for (ask, code) in wrong {
            expect(&s3.signed(&key, ask).await, 400, code);
            assert_eq!(server.content("bytes/x").await, None, "{code}");
        }
        let (ask, _) = key.by_header(put(), &s3.host, &sha256(b"something else"));
        expect(&s3.send(ask).await, 400, "XAmzContentSHA256Mismatch");
        let trailer = ("x-amz-checksum-crc32", "AAAAAA==");
        let ask = key.with_trailer(Ask::new("PUT", "/bytes/x"), &s3.host, &body, trailer);
        expect(&s3.send(ask).await, 400, "BadDigest");
        let mut ask = key.in_chunks(Ask::new("PUT", "/bytes/x"), &s3.host, &[&body[..2], &body[2..]]);
        let at = ask.body.windows(4).rposition(|end| end == b"\r\n0;").unwrap() - 1;
        ask.body[at] ^= 1;
        expect(&s3.send(ask).await, 403, "SignatureDoesNotMatch");
        assert_eq!(server.content("bytes/x").await, None);
    }
    assert_eq!(server.files_on_disk(), 0, "nothing of them is left on the disk");
    server.expect_clean().await;
}

#[tokio::test]
async fn a_good_body_is_kept_with_its_digests() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "bytes", "private").await;
    for (size, md5, crc32) in [
        (0, "d41d8cd98f00b204e9800998ecf8427e", "AAAAAA=="),
        (9, "25f9e794323b453885f5181f1b624d0b", "y/Q5Jg=="),
    ] {
        let body = b"123456789"[..size].to_vec();
        let trailer = ("x-amz-checksum-crc32", crc32);
        let ask = key.with_trailer(Ask::new("PUT", "/bytes/x"), &s3.host, &body, trailer);
        let put = s3.send(ask).await;
        expect(&put, 200, "");
        assert_eq!(put.header("etag"), format!("\"{md5}\""));
        assert_eq!(put.header("x-amz-checksum-crc32"), crc32);
        let get = s3.signed(&key, Ask::new("GET", "/bytes/x").header("x-amz-checksum-mode", "ENABLED")).await;
        assert_eq!((get.body, get.headers["x-amz-checksum-crc32"].to_str().unwrap()), (body, crc32));
    }
    // In chunks whose borders are anywhere, and of any size.
    let body = pattern(700_001);
    for size in [8192, 65_536, 500_000] {
        let chunks: Vec<_> = body.chunks(size).collect();
        let ask = key.in_chunks(Ask::new("PUT", "/bytes/chunks"), &s3.host, &chunks);
        expect(&s3.send(ask.header("x-unsigned", "does not count")).await, 200, "");
        assert_eq!(server.content("bytes/chunks").await.as_ref(), Some(&body), "{size}");
    }
    // How it came is no part of what it is.
    let head = s3.signed(&key, Ask::new("HEAD", "/bytes/chunks")).await;
    assert_eq!(head.header("content-encoding"), "");
    let part = Ask::new("GET", "/bytes/chunks")
        .header("range", "bytes=5-9")
        .header("x-amz-checksum-mode", "ENABLED");
    let part = s3.signed(&key, part).await;
    assert_eq!((part.status, part.body.as_slice()), (206, &body[5..10]));
    assert_eq!(part.header("x-amz-checksum-crc32"), "", "a part does not have the checksum of the whole");
}

#[tokio::test]
async fn malformed_chunks_are_refused() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "bytes", "private").await;
    let send = async |length: &str, body: &str| {
        let ask = Ask::new("PUT", "/bytes/x").header("x-amz-decoded-content-length", length);
        let ask = ask.header("x-amz-trailer", "x-amz-checksum-crc32");
        let (ask, _) = key.by_header(ask, &s3.host, "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
        s3.send(ask.body(body)).await
    };
    let trailer = "x-amz-checksum-crc32:y/Q5Jg==\r\n\r\n";
    expect(&send("9", &format!("9\r\n123456789\r\n0\r\n{trailer}")).await, 200, "");
    for (length, body) in [
        ("9", "9\r\n123456789\r\n0\r\n\r\n".to_owned()),
        ("9", format!("9\r\n1234567890\r\n0\r\n{trailer}")),
        ("9", format!("x\r\n123456789\r\n0\r\n{trailer}")),
        ("9", format!("-9\r\n123456789\r\n0\r\n{trailer}")),
        ("9", "fffffffffffffffff\r\n".to_owned()),
        ("9", "9\r\n1234".to_owned()),
        ("9", "x".repeat(5000)),
        ("8", format!("9\r\n123456789\r\n0\r\n{trailer}")),
        ("10", format!("9\r\n123456789\r\n0\r\n{trailer}")),
        ("9", format!("9\r\n123456789\r\n0\r\nx-amz-checksum-sha1:abc\r\n{trailer}")),
        ("9", "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:zzz\r\n\r\n".to_owned()),
    ] {
        let reply = send(length, &body).await;
        assert_eq!(reply.status, 400, "{length} {body:.60}: {}", reply.text());
    }
}
