//! `?policy`: documents that say what a bucket's policy can say, in force as they are shown; and nothing else.

use serde_json::{Value, json};

use crate::signer::{Ask, Client, Signer};
use crate::support::{OTHER, OWNER, Reply, Server, Who};
use crate::{client, expect, signer};

fn ask(method: &'static str, bucket: &str) -> Ask {
    Ask::new(method, &format!("/{bucket}")).query("policy", "")
}

fn readable(bucket: &str) -> Value {
    json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"], "Resource": [format!("arn:aws:s3:::{bucket}/*")] },
        { "Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket", "Resource": format!("arn:aws:s3:::{bucket}") },
    ] })
}

async fn put(s3: &Client, key: &Signer, bucket: &str, document: &Value) -> Reply {
    s3.signed(key, ask("PUT", bucket).body(document.to_string())).await
}

/// Whether anybody may read the bucket's object, and list it.
async fn is_open(s3: &Client, bucket: &str) -> (u16, u16) {
    let read = s3.send(Ask::new("GET", &format!("/{bucket}/x"))).await;
    (read.status, s3.send(Ask::new("GET", &format!("/{bucket}")).query("list-type", "2")).await.status)
}

#[tokio::test]
async fn a_document_is_in_force_as_it_is_shown() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::User(OWNER)));
    server.bucket(Who::User(OWNER), "docs", "private").await;
    server.put(Who::User(OWNER), "docs/x", "1").await;
    expect(&s3.signed(&key, ask("GET", "docs")).await, 404, "NoSuchBucketPolicy");
    assert_eq!(is_open(&s3, "docs").await, (403, 403));

    expect(&put(&s3, &key, "docs", &readable("docs")).await, 204, "");
    assert_eq!(is_open(&s3, "docs").await, (200, 200));
    let shown = s3.signed(&key, ask("GET", "docs")).await;
    expect(&shown, 200, "");
    let shown = shown.json();
    let actions: Vec<_> =
        shown["Statement"].as_array().unwrap().iter().map(|one| one["Action"].clone()).collect();
    assert_eq!(actions, [json!(["s3:GetObject"]), json!(["s3:GetBucketLocation", "s3:ListBucket"])]);
    expect(&s3.send(Ask::new("GET", "/docs").query("location", "")).await, 200, "");
    let status = s3.signed(&key, Ask::new("GET", "/docs").query("policyStatus", "")).await;
    assert!(status.text().contains("<IsPublic>true</IsPublic>"), "{}", status.text());
    expect(&put(&s3, &key, "docs", &shown).await, 204, "");

    expect(&s3.signed(&key, ask("DELETE", "docs")).await, 204, "");
    expect(&s3.signed(&key, ask("GET", "docs")).await, 404, "NoSuchBucketPolicy");
    assert_eq!(is_open(&s3, "docs").await, (403, 403));
    expect(&s3.signed(&key, ask("DELETE", "docs")).await, 204, "");
}

#[tokio::test]
async fn what_can_not_be_in_force_is_refused_and_changes_nothing() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "docs", "private").await;
    server.bucket(Who::Service, "users", "authenticated").await;
    server.put(Who::Service, "docs/x", "1").await;
    let changed = |name: &str, value: Value| {
        let mut document = readable("docs");
        document["Statement"][0][name] = value;
        document
    };
    for (document, words) in [
        (changed("Effect", json!("Deny")), "denies"),
        (changed("Action", json!("s3:PutObject")), "s3:PutObject"),
        (changed("Action", json!("s3:*")), "s3:*"),
        (changed("Principal", json!({ "AWS": OTHER.to_string() })), "principal"),
        (changed("Resource", json!("arn:aws:s3:::docs/some/*")), "part of a bucket"),
        (changed("Condition", json!({ "Bool": { "aws:SecureTransport": "true" } })), "Condition"),
        (json!({ "Statement": readable("docs")["Statement"][0] }), "s3:ListBucket"),
    ] {
        let reply = put(&s3, &key, "docs", &document).await;
        expect(&reply, 501, "NotImplemented");
        assert!(reply.text().contains(words), "{}", reply.text());
    }
    for document in
        [json!({}), changed("Resource", json!("arn:aws:s3:::users/*")), changed("Other", json!(1))]
    {
        expect(&put(&s3, &key, "docs", &document).await, 400, "MalformedPolicy");
    }
    assert_eq!(is_open(&s3, "docs").await, (403, 403));
    // What users may do there is nothing that a document could say.
    expect(&s3.signed(&key, ask("GET", "users")).await, 501, "NotImplemented");
    expect(&s3.signed(&key, ask("GET", "nowhere")).await, 404, "NoSuchBucket");
}

#[tokio::test]
async fn fs_i3_only_who_may_change_a_bucket_changes_its_policy() {
    let server = Server::start();
    let s3 = client(&server);
    for (at, policy) in ["private", "authenticated", "public"].into_iter().enumerate() {
        let bucket = format!("docs-{at}");
        server.bucket(Who::User(OWNER), &bucket, policy).await;
        server.put(Who::User(OWNER), &format!("{bucket}/x"), "1").await;
        let before = is_open(&s3, &bucket).await;
        let other = signer(&server, Who::User(OTHER));
        // A document that is none tells nobody else what is wrong with it.
        for document in [readable(&bucket), json!({})] {
            expect(&put(&s3, &other, &bucket, &document).await, 403, "AccessDenied");
            let anon = s3.send(ask("PUT", &bucket).body(document.to_string())).await;
            expect(&anon, 403, "AccessDenied");
        }
        expect(&s3.signed(&other, ask("DELETE", &bucket)).await, 403, "AccessDenied");
        expect(&s3.send(ask("DELETE", &bucket)).await, 403, "AccessDenied");
        assert_eq!(is_open(&s3, &bucket).await, before, "{policy}");
        let (seen, code) = if policy == "public" { (200, "") } else { (403, "AccessDenied") };
        expect(&s3.send(ask("GET", &bucket)).await, seen, code);
        expect(&put(&s3, &signer(&server, Who::User(OWNER)), &bucket, &readable(&bucket)).await, 204, "");
    }
}
