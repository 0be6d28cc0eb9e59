//! What a signed request means is what its signer signed, whatever host, prefix or listener it comes in by.

use crate::signer::{Ask, Client, Signer, encode};
use crate::support::{Server, Who};
use crate::{client, expect, signer};

async fn fill(server: &Server, objects: &[&str]) {
    for place in objects {
        let (bucket, _) = place.split_once('/').unwrap();
        if server.call(Who::Service, "GET", &format!("/bucket/{bucket}")).send().await.status == 404 {
            server.bucket(Who::Service, bucket, "private").await;
        }
        server.put(Who::Service, place, *place).await;
    }
}

/// A URL that was signed for this host.
fn url(key: &Signer, method: &'static str, path: &str, host: &str) -> Ask {
    key.by_query(Ask::new(method, path), host, 60)
}

#[tokio::test]
async fn another_host_makes_no_other_bucket_of_a_signed_url() {
    let domain = ("AEROSTORE_S3_DOMAIN", "s3.example.org");
    for (settings, host, told) in [
        (("AEROSTORE_SERVER_PUBLIC_URL", "https://s3.example.org"), "victim.s3.example.org", None),
        (("AEROSTORE_SERVER_TRUSTED_PROXIES", "127.0.0.1"), "victim.s3.example.org", Some("s3.example.org")),
    ] {
        let server = Server::start_with(&[domain, settings]);
        let (s3, key) = (client(&server), signer(&server, Who::Service));
        fill(&server, &["mine/k", "victim/mine/k", "victim/k"]).await;
        let send = async |ask: Ask, host: &str| {
            let ask = ask.header("host", host);
            s3.send(told.into_iter().fold(ask, |ask, told| ask.header("x-forwarded-host", told))).await
        };
        let read = send(url(&key, "GET", "/mine/k", "s3.example.org"), host).await;
        assert_eq!((read.status, read.text().as_str()), (200, "mine/k"), "{settings:?}");
        let put = url(&key, "PUT", "/mine/new", "s3.example.org").body("1");
        expect(&send(put, host).await, 200, "");
        assert_eq!(server.content("victim/mine/new").await, None, "{settings:?}");
        assert!(server.content("mine/new").await.is_some(), "{settings:?}");
        let all = send(url(&key, "GET", "/", "s3.example.org"), host).await;
        expect(&all, 200, "");
        assert!(all.text().contains("<ListAllMyBucketsResult"), "{}", all.text());
        // And what was signed with the bucket in its host is about that bucket.
        let named = send(url(&key, "GET", "/k", "victim.s3.example.org"), "victim.s3.example.org").await;
        assert_eq!((named.status, named.text().as_str()), (200, "victim/k"), "{settings:?}");
    }
}

#[tokio::test]
async fn a_prefix_that_the_operator_did_not_name_makes_no_other_key_of_a_signed_url() {
    let signed = "/uploads/user-1/storage/v1/s3/private/secret.txt";
    let prefix = "/storage/v1/s3/uploads/user-1";
    let trusted = ("AEROSTORE_SERVER_TRUSTED_PROXIES", "127.0.0.1");
    for settings in [&[trusted][..], &[trusted, ("AEROSTORE_SERVER_PUBLIC_URL", "https://h.example/files")]] {
        let server = Server::start_with(settings);
        let (s3, key) = (client(&server), signer(&server, Who::Service));
        fill(&server, &["private/secret.txt", "uploads/x"]).await;
        let ask = url(&key, "PUT", signed, &s3.host).body("changed");
        let moved = Ask { path: "/private/secret.txt".to_owned(), ..ask.clone() };
        let reply = s3.send(moved.header("x-forwarded-prefix", prefix)).await;
        expect(&reply, 403, "SignatureDoesNotMatch");
        assert_eq!(server.content("private/secret.txt").await.as_deref(), Some(&b"private/secret.txt"[..]));
        expect(&s3.send(ask.header("x-forwarded-prefix", prefix)).await, 200, "");
        assert!(server.content(&signed[1..]).await.is_some());
    }
}

#[tokio::test]
async fn a_signed_url_is_about_one_object_on_both_listeners() {
    let server = Server::start_with(&[("AEROSTORE_S3_LISTEN", "127.0.0.1:0")]);
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    let alone = Client::new(server.s3_address.unwrap());
    fill(&server, &["mine/k", "storage/v1/s3/mine/k"]).await;
    for host in [&s3.host, &alone.host] {
        for to in [&s3, &alone] {
            let reply = to.send(url(&key, "GET", "/mine/k", host).header("host", host)).await;
            assert_eq!((reply.status, reply.text().as_str()), (200, "mine/k"), "{host} to {}", to.host);
        }
    }
    // A slash that is encoded is none between a bucket and its key.
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = url(&key, "GET", "/mine/k", &s3.host);
    let query: Vec<_> = ask.query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let odd = format!("http://{}/storage/v1%2Fs3/mine/k?{}", alone.host, query.join("&"));
    let odd = http.get(odd).header("host", &s3.host).send().await.unwrap();
    assert_eq!(odd.status(), 400, "{}", odd.text().await.unwrap());
}

#[tokio::test]
async fn headers_that_were_signed_into_a_url_are_heeded_or_refused() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    fill(&server, &["urls/source"]).await;
    let send = async |pairs: &[(&str, &str)], body: &str| {
        let ask = pairs.iter().fold(Ask::new("PUT", "/urls/x"), |ask, (name, value)| ask.query(name, value));
        s3.send(key.by_query(ask, &s3.host, 60).body(body)).await
    };
    for (bad, code) in [
        ([("x-amz-acl", "public-read")], "AccessControlListNotSupported"),
        ([("x-amz-storage-class", "GLACIER")], "InvalidStorageClass"),
        ([("x-amz-server-side-encryption", "AES256")], "NotImplemented"),
        ([("X-Amz-Server-Side-Encryption", "AES256")], "NotImplemented"),
        ([("x-amz-rename-source", "urls/source")], "NotImplemented"),
        ([("x-amz-checksum-crc32", "y/Q5Jg==")], "BadDigest"),
        ([("x-amz-security-token", "t")], "AuthorizationQueryParametersError"),
    ] {
        let reply = send(&bad, "1").await;
        assert!(reply.text().contains(&format!("<Code>{code}</Code>")), "{bad:?}: {}", reply.text());
        assert_eq!(server.content("urls/x").await, None, "{bad:?}");
    }
    let said = [
        ("x-amz-meta-a", "1"),
        ("X-Amz-Meta-B", "2"),
        ("x-amz-tagging", "k=v"),
        ("x-amz-storage-class", "STANDARD"),
        // What the AWS SDK for JavaScript signs into every URL, whatever the body.
        ("x-amz-sdk-checksum-algorithm", "CRC32"),
        ("x-amz-checksum-crc32", "AAAAAA=="),
    ];
    expect(&send(&said, "body").await, 200, "");
    let told = s3.signed(&key, Ask::new("HEAD", "/urls/x")).await;
    let header = |name| told.header(name).to_owned();
    let found = (header("x-amz-meta-a"), header("x-amz-meta-b"), header("x-amz-tagging-count"));
    assert_eq!(found, ("1".to_owned(), "2".to_owned(), "1".to_owned()));
    expect(&send(&[("x-amz-copy-source", "urls/source")], "").await, 200, "");
    assert_eq!(server.content("urls/x").await.as_deref(), Some(&b"urls/source"[..]));
}

#[tokio::test]
async fn who_shows_too_much_that_is_not_good_is_slowed_down() {
    let server = Server::start_with(&[
        ("AEROSTORE_RATE_LIMIT_SIGNED_PER_SECOND", "1"),
        ("AEROSTORE_RATE_LIMIT_SIGNED_BURST", "3"),
    ]);
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    let unknown = Signer::new("ASXXXXXXXXXXXXXXXXXX", "secret");
    let wrong = Signer::new(&key.id, "wrong");
    for (stranger, code) in [(&unknown, "InvalidAccessKeyId"), (&wrong, "SignatureDoesNotMatch")] {
        expect(&s3.signed(stranger, Ask::new("GET", "/")).await, 403, code);
    }
    let mut slowed = Vec::new();
    for _ in 0..8 {
        for stranger in [&unknown, &wrong] {
            slowed.push(s3.signed(stranger, Ask::new("GET", "/")).await.status);
        }
    }
    assert!(slowed.contains(&503), "{slowed:?}");
    expect(&s3.signed(&key, Ask::new("GET", "/")).await, 200, "");
}
