//! What a signature covers, how long it holds, and what is not accepted as one.

use chrono::TimeDelta;

use crate::signer::{Ask, Signer, sha256};
use crate::support::{OWNER, Server, Who};
use crate::{client, expect, signer};

#[tokio::test]
async fn clocks_may_be_a_quarter_of_an_hour_off_and_urls_expire() {
    let server = Server::start();
    let s3 = client(&server);
    server.bucket(Who::Service, "times", "private").await;
    let at = |minutes: i64| {
        let key = signer(&server, Who::Service);
        Signer { now: key.now + TimeDelta::minutes(minutes), ..key }
    };
    for (minutes, status) in [(-14, 200), (14, 200), (-16, 403), (16, 403)] {
        let reply = s3.signed(&at(minutes), Ask::new("GET", "/times")).await;
        expect(&reply, status, if status == 200 { "" } else { "RequestTimeTooSkewed" });
    }
    let url = |minutes, seconds| s3.send(at(minutes).by_query(Ask::new("GET", "/times"), &s3.host, seconds));
    expect(&url(0, 60).await, 200, "");
    expect(&url(-60, 7 * 24 * 3600).await, 200, "");
    expect(&url(-2, 60).await, 403, "AccessDenied");
    expect(&url(20, 60).await, 403, "RequestTimeTooSkewed");
    for seconds in [0, 7 * 24 * 3600 + 1] {
        expect(&url(0, seconds).await, 403, "AuthorizationQueryParametersError");
    }
}

#[tokio::test]
async fn what_is_changed_or_added_after_signing_is_refused() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "sealed", "private").await;
    server.put(Who::Service, "sealed/secret", "secret").await;
    let put = || key.by_query(Ask::new("PUT", "/sealed/x"), &s3.host, 60).body("1");
    // Whoever has a URL that writes must not read by it, nor say more than its maker did.
    for header in ["x-amz-copy-source", "x-amz-acl", "x-amz-meta-a", "x-amz-tagging", "x-amz-security-token"]
    {
        expect(&s3.send(put().header(header, "sealed/secret")).await, 403, "AccessDenied");
    }
    for (name, value) in [("tagging", ""), ("uploadId", "1"), ("acl", ""), ("versionId", "null")] {
        expect(&s3.send(put().query(name, value)).await, 403, "SignatureDoesNotMatch");
    }
    let elsewhere = Ask { path: "/sealed/y".to_owned(), ..put() };
    expect(&s3.send(elsewhere).await, 403, "SignatureDoesNotMatch");
    let otherwise = Ask { method: "DELETE", ..put() };
    expect(&s3.send(otherwise).await, 403, "SignatureDoesNotMatch");
    expect(&s3.send(put()).await, 200, "");

    let (signed, _) = key.by_header(Ask::new("PUT", "/sealed/z").body("1"), &s3.host, &sha256(b"1"));
    expect(&s3.send(signed.clone().header("x-amz-meta-more", "1")).await, 403, "AccessDenied");
    let mut changed = signed.clone();
    changed.body = b"2".to_vec();
    expect(&s3.send(changed).await, 400, "XAmzContentSHA256Mismatch");
    expect(
        &s3.send(signed.clone().header("authorization", "AWS4-HMAC-SHA256 Credential=x")).await,
        400,
        "InvalidRequest",
    );
    let told = s3.signed(&Signer::new(&key.id, "wrong"), Ask::new("GET", "/sealed")).await;
    expect(&told, 403, "SignatureDoesNotMatch");
    assert!(told.text().contains("<CanonicalRequest>GET\n/storage/v1/s3/sealed\n"), "{}", told.text());
    assert_eq!(server.content("sealed/z").await, None);
}

#[tokio::test]
async fn nothing_else_is_taken_for_a_signature() {
    let server = Server::start();
    let s3 = client(&server);
    server.bucket(Who::User(OWNER), "mine", "private").await;
    let get = || Ask::new("GET", "/mine");
    let bearer = format!("Bearer {}", server.token(Who::User(OWNER)));
    expect(&s3.send(get().header("authorization", &bearer)).await, 400, "InvalidRequest");
    expect(&s3.send(get().header("apikey", &server.token(Who::Service))).await, 403, "AccessDenied");
    expect(&s3.send(get().header("authorization", "AWS id:signature")).await, 400, "InvalidRequest");
    expect(
        &s3.send(get().header("x-amz-security-token", &server.token(Who::Service))).await,
        403,
        "AccessDenied",
    );
    let anon = server.key("anon_key");
    let id = server.key("s3_access_key_id");
    for (id, secret, token, code) in [
        ("nobody", "secret", None, "InvalidAccessKeyId"),
        (id.as_str(), "wrong", None, "SignatureDoesNotMatch"),
        (id.as_str(), "", None, "SignatureDoesNotMatch"),
        ("any", "wrong", Some(server.token(Who::User(OWNER))), "SignatureDoesNotMatch"),
        ("any", anon.as_str(), Some("a.b.c".to_owned()), "InvalidToken"),
        ("any", anon.as_str(), Some(String::new()), "InvalidToken"),
        // The anon key alone opens nothing.
        ("any", anon.as_str(), None, "InvalidAccessKeyId"),
        // Nor does the service's key with somebody else's secret: a token goes with the anon key.
        (
            id.as_str(),
            server.key("s3_secret_access_key").as_str(),
            Some(server.token(Who::Service)),
            "SignatureDoesNotMatch",
        ),
    ] {
        let key = Signer { token, ..Signer::new(id, secret) };
        let reply = s3.signed(&key, get()).await;
        assert!(reply.text().contains(&format!("<Code>{code}</Code>")), "{id} {secret}: {}", reply.text());
    }
    let expired =
        server.mint(&serde_json::json!({ "sub": OWNER, "role": "authenticated", "exp": 1_600_000_000 }));
    let key = Signer { token: Some(expired), ..Signer::new("any", &anon) };
    expect(&s3.signed(&key, get()).await, 400, "ExpiredToken");
}

#[tokio::test]
async fn what_is_not_supported_says_so_and_does_nothing() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "plain", "private").await;
    let put = || Ask::new("PUT", "/plain/x").body("1");
    let lock = "<ObjectLockConfiguration/>";
    for ask in [
        put().header("x-amz-server-side-encryption", "AES256"),
        put().header("x-amz-object-lock-mode", "COMPLIANCE"),
        put().header("x-amz-grant-read", "id=1"),
        put().header("x-amz-acl", "public-read-write"),
        put().header("x-amz-website-redirect-location", "/y"),
        put().query("renameObject", ""),
        put().query("versionId", "3"),
        put().query("legal-hold", ""),
        Ask::new("PUT", "/plain").query("object-lock", "").body(lock),
        Ask::new("PUT", "/plain").query("policy", "").body("{}"),
        Ask::new("GET", "/plain").query("lifecycle", ""),
        Ask::new("GET", "/plain").query("notification", ""),
        Ask::new("POST", "/plain/x").query("select", "").query("select-type", "2").body("<SelectRequest/>"),
    ] {
        let reply = s3.signed(&key, ask).await;
        assert!(matches!(reply.status, 400 | 501), "{}: {} {}", reply.what, reply.status, reply.text());
    }
    expect(
        &s3.signed(&key, put().header("x-amz-storage-class", "GLACIER")).await,
        400,
        "InvalidStorageClass",
    );
    assert_eq!(server.content("plain/x").await, None);
    let log = server.log();
    assert!(!log.contains(&server.key("s3_secret_access_key")), "no secret is ever logged");
}
