//! Forms as browsers send them: what their policy says holds, and nothing else gets in.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::signer::{Ask, BASE, Signer};
use crate::support::{OWNER, Reply, Server, Who, open, read_reply};
use crate::{client, expect, signer};

/// Sends a form; signed, with a policy of these conditions beside the usual ones.
pub(crate) async fn post(
    server: &Server,
    signer: Option<&Signer>,
    bucket: &str,
    key: &str,
    file: &[u8],
    conditions: &[Value],
) -> Reply {
    let mut fields = vec![("key".to_owned(), key.to_owned())];
    if let Some(signer) = signer {
        fields.extend(signed(signer, bucket, conditions, TimeDelta::hours(1)));
    }
    send(server, bucket, fields, file).await
}

fn signed(signer: &Signer, bucket: &str, conditions: &[Value], life: TimeDelta) -> Vec<(String, String)> {
    let credential = format!("{}/{}", signer.id, signer.scope());
    let mut fields = vec![
        ("x-amz-algorithm".to_owned(), "AWS4-HMAC-SHA256".to_owned()),
        ("x-amz-credential".to_owned(), credential),
        ("x-amz-date".to_owned(), signer.time()),
    ];
    fields.extend(signer.token.clone().map(|token| ("x-amz-security-token".to_owned(), token)));
    let mut all = conditions.to_vec();
    all.extend([json!({ "bucket": bucket }), json!(["starts-with", "$key", ""])]);
    all.extend(fields.iter().map(|(name, value)| json!({ name.as_str(): value })));
    let expiration = (signer.now + life).to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let policy = STANDARD.encode(json!({ "expiration": expiration, "conditions": all }).to_string());
    fields.push(("x-amz-signature".to_owned(), signer.sign_text(&policy)));
    fields.push(("policy".to_owned(), policy));
    fields
}

async fn send(server: &Server, bucket: &str, fields: Vec<(String, String)>, file: &[u8]) -> Reply {
    send_with(server, bucket, fields, file, &[]).await
}

async fn send_with(
    server: &Server,
    bucket: &str,
    fields: Vec<(String, String)>,
    file: &[u8],
    headers: &[(&str, &str)],
) -> Reply {
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend_from_slice(
            format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                .as_bytes(),
        );
    }
    body.extend_from_slice(
        b"--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.txt\"\r\nContent-Type: text/plain\r\n\r\n",
    );
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--edge--\r\n");
    let call = server.request(Who::Anon, "POST", &format!("{BASE}/{bucket}"));
    let call = call.header("content-type", "multipart/form-data; boundary=edge").headers(headers);
    call.body(body).send().await
}

#[tokio::test]
async fn what_a_forms_headers_ask_for_is_refused() {
    let server = Server::start();
    server.bucket(Who::Service, "forms", "private").await;
    let key = signer(&server, Who::Service);
    for header in [
        ("x-amz-expected-bucket-owner", "123456789012"),
        ("if-none-match", "*"),
        ("x-amz-checksum-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        ("x-amz-acl", "public-read"),
    ] {
        let mut fields = vec![("key".to_owned(), "k".to_owned())];
        fields.extend(signed(&key, "forms", &[], TimeDelta::hours(1)));
        let reply = send_with(&server, "forms", fields, b"hello", &[header]).await;
        expect(&reply, 501, "NotImplemented");
        assert_eq!(server.content("forms/k").await, None);
    }
}

#[tokio::test]
async fn a_form_may_bring_a_checksum_that_its_policy_does_not_name() {
    let server = Server::start();
    server.bucket(Who::Service, "forms", "private").await;
    let key = signer(&server, Who::Service);
    for (checksum, status) in [
        ("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", 400),
        ("LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=", 204),
    ] {
        let mut fields = vec![("key".to_owned(), "k".to_owned())];
        fields.extend(signed(&key, "forms", &[], TimeDelta::hours(1)));
        fields.push(("x-amz-checksum-sha256".to_owned(), checksum.to_owned()));
        let reply = send(&server, "forms", fields, b"hello").await;
        assert_eq!(reply.status, status, "{}", reply.text());
        assert_eq!(server.content("forms/k").await.is_some(), status == 204);
    }
}

#[tokio::test]
async fn a_form_does_what_its_policy_allows() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "forms", "private").await;
    let key = signer(&server, Who::User(OWNER));
    let range = [json!(["content-length-range", 2, 5])];
    expect(&post(&server, Some(&key), "forms", "up/${filename}", b"12345", &range).await, 204, "");
    assert_eq!(server.content("forms/up/f.txt").await.as_deref(), Some(&b"12345"[..]));
    for (file, code) in [(&b"123456"[..], "EntityTooLarge"), (b"1", "EntityTooSmall")] {
        expect(&post(&server, Some(&key), "forms", "size", file, &range).await, 400, code);
    }
    let only = [json!(["eq", "$key", "this"])];
    expect(&post(&server, Some(&key), "forms", "that", b"1", &only).await, 403, "AccessDenied");
    let fields = |life| signed(&key, "forms", &[], life);
    let with = |name: &str, value: &str, life| {
        let mut all = fields(life);
        all.push(("key".to_owned(), "x".to_owned()));
        all.retain(|(field, _)| field != name);
        all.push((name.to_owned(), value.to_owned()));
        all
    };
    let hour = TimeDelta::hours(1);
    for (changed, status, code) in [
        (with("x-amz-meta-more", "1", hour), 403, "AccessDenied"),
        (with("x-amz-signature", "00", hour), 403, "SignatureDoesNotMatch"),
        (with("policy", "e30=", hour), 403, "SignatureDoesNotMatch"),
        (with("x-ignore-this", "1", -hour), 403, "AccessDenied"),
        (with("x-amz-security-token", "a.b.c", hour), 400, "InvalidToken"),
        (with("x-amz-algorithm", "none", hour), 400, "InvalidArgument"),
    ] {
        expect(&send(&server, "forms", changed, b"1").await, status, code);
    }
    // A field that is given twice could be held against the policy by one value, and heeded by the other.
    for name in ["key", "x-amz-meta-a", "x-amz-date", "policy"] {
        let mut twice = with("x-amz-meta-a", "1", hour);
        twice.push((name.to_owned(), "other".to_owned()));
        expect(&send(&server, "forms", twice, b"1").await, 400, "InvalidArgument");
    }
    // A form for one bucket is none for another.
    server.bucket(Who::User(OWNER), "others", "private").await;
    let mut elsewhere = fields(hour);
    elsewhere.push(("key".to_owned(), "x".to_owned()));
    expect(&send(&server, "others", elsewhere, b"1").await, 403, "AccessDenied");
    // The older signature of the same policy.
    let policy = fields(hour).into_iter().find(|(name, _)| name == "policy").unwrap().1;
    let mut old = fields(hour);
    old.retain(|(name, _)| name != "x-amz-signature" && name != "policy");
    let mac = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.secret.as_bytes()),
        policy.as_bytes(),
    );
    for (signature, status) in [(STANDARD.encode(mac.as_ref()), 204), (STANDARD.encode([0; 20]), 403)] {
        let named = [
            ("key", "old"),
            ("awsaccesskeyid", key.id.as_str()),
            ("policy", policy.as_str()),
            ("signature", signature.as_str()),
        ];
        let named = named.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let all = old.iter().cloned().chain(named).collect();
        assert_eq!(send(&server, "forms", all, b"1").await.status, status);
    }
    for left in ["forms/size", "forms/that", "forms/x", "others/x"] {
        assert_eq!(server.content(left).await, None, "{left}");
    }
    server.expect_clean().await;
}

#[tokio::test]
async fn a_form_is_not_read_for_ever_before_its_file() {
    use tokio::io::AsyncWriteExt;
    let server = Server::start();
    server.bucket(Who::Service, "forms", "private").await;
    let field = "--XB\r\nContent-Disposition: form-data; name=\"a\"\r\n";
    for start in [String::new(), format!("{field}x-more: "), format!("{field}\r\n")] {
        let head = format!(
            "POST {BASE}/forms HTTP/1.1\r\nhost: {}\r\ncontent-type: multipart/form-data; boundary=XB\r\n\
             content-length: 9000000000\r\n\r\n{start}",
            server.address
        );
        let mut connection = open(server.address, head).await;
        connection.write_all(&[b'x'; 21 * 1024]).await.unwrap();
        let reply = read_reply(&mut connection).await;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(reply.status == 400 && text.contains("MaxPostPreDataLengthExceeded"), "{start}: {text}");
    }
}

#[tokio::test]
async fn a_form_tells_the_version_that_it_made() {
    let server = Server::start();
    let key = signer(&server, Who::Service);
    server
        .bucket_with(Who::Service, json!({ "name": "forms", "policy": "private", "versioning": "enabled" }))
        .await;
    let made = post(&server, Some(&key), "forms", "k", b"1", &[]).await;
    expect(&made, 204, "");
    let version = made.header("x-amz-version-id").to_owned();
    let s3 = client(&server);
    let read = s3.signed(&key, Ask::new("GET", "/forms/k").query("versionId", &version)).await;
    assert_eq!((read.status, read.text().as_str()), (200, "1"), "{version}");
}
