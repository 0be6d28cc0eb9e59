//! Every door to an upload in parts × every caller who has no part in it.

use super::{Uploads, begin_ask, complete_ask, element, elements, part_ask};
use crate::signer::{Ask, Signer};
use crate::support::{OTHER, OWNER, Server, Who};
use crate::{client, expect, signer};

#[tokio::test]
async fn fs_i3_an_upload_is_its_makers_through_every_door() {
    let server = Server::start();
    let s3 = client(&server);
    let (owner, other) = (signer(&server, Who::User(OWNER)), signer(&server, Who::User(OTHER)));
    let us = Uploads { s3: &s3, key: &owner };
    for policy in ["private", "authenticated", "public"] {
        server.bucket(Who::User(OWNER), policy, policy).await;
        let path = format!("/{policy}/x");
        let upload = us.begin(&path).await;
        let part = us.part(&path, &upload, 1, b"mine").await;
        server.put(Who::User(OWNER), &format!("{policy}/source"), "mine").await;
        let doors = || {
            [
                part_ask(&path, &upload, 1).body("theirs"),
                part_ask(&path, &upload, 1).header("x-amz-copy-source", &format!("{policy}/source")),
                Ask::new("GET", &path).query("uploadId", &upload),
                complete_ask(&path, &upload, std::slice::from_ref(&part)),
                Ask::new("DELETE", &path).query("uploadId", &upload),
            ]
        };
        for ask in doors() {
            // Whoever is somebody is not told that it is there.
            let said = format!("{policy}: {} {:?}", ask.method, ask.query);
            let reply = s3.signed(&other, ask).await;
            assert!(matches!(reply.status, 403 | 404), "{said}: {} {}", reply.status, reply.text());
        }
        for ask in doors() {
            expect(&s3.send(ask).await, 403, "AccessDenied");
        }
        let wrong = Signer { secret: "wrong".to_owned(), ..owner.clone() };
        for ask in doors() {
            expect(&s3.signed(&wrong, ask).await, 403, "SignatureDoesNotMatch");
        }
        // Beginning one takes what writing takes.
        let begun = s3.signed(&other, begin_ask(&format!("/{policy}/y"))).await;
        let (status, code) = if policy == "authenticated" { (200, "") } else { (403, "AccessDenied") };
        expect(&begun, status, code);
        expect(&s3.send(begin_ask(&format!("/{policy}/y"))).await, 403, "AccessDenied");
        // Nobody sees others' uploads but the service role.
        let list = || Ask::new("GET", &format!("/{policy}")).query("uploads", "");
        let theirs = s3.signed(&other, list()).await;
        match policy {
            "private" => expect(&theirs, 403, "AccessDenied"),
            _ => assert!(!elements(&theirs.text(), "Key").contains(&"x".to_owned()), "{}", theirs.text()),
        }
        expect(&s3.send(list()).await, 403, "AccessDenied");
        let all = s3.signed(&signer(&server, Who::Service), list()).await.text();
        assert!(elements(&all, "Key").contains(&"x".to_owned()), "{all}");
        // Nothing of all this has changed it.
        let listed = us.send(Ask::new("GET", &path).query("uploadId", &upload)).await.text();
        assert_eq!(element(&listed, "ETag"), part.1);
        us.complete(&path, &upload, std::slice::from_ref(&part)).await;
        assert_eq!(server.content(&format!("{policy}/x")).await.unwrap(), b"mine");
        // Whoever may not read it is not told of its completion, either.
        let again = complete_ask(&path, &upload, std::slice::from_ref(&part));
        if policy == "private" {
            expect(&s3.signed(&other, again).await, 404, "NoSuchUpload");
        }
    }
    server.expect_clean().await;
}

#[tokio::test]
async fn fs_i3_the_source_of_a_part_is_read_by_its_caller() {
    let server = Server::start();
    let s3 = client(&server);
    let other = signer(&server, Who::User(OTHER));
    let them = Uploads { s3: &s3, key: &other };
    server.bucket(Who::User(OWNER), "secret", "private").await;
    server.put(Who::User(OWNER), "secret/source", "secret").await;
    server.bucket(Who::User(OTHER), "theirs", "private").await;
    let upload = them.begin("/theirs/x").await;
    for source in ["secret/source", "secret/nothing"] {
        for range in ["", "bytes=0-1"] {
            let ask = part_ask("/theirs/x", &upload, 1).header("x-amz-copy-source", source);
            let ask = if range.is_empty() { ask } else { ask.header("x-amz-copy-source-range", range) };
            expect(&them.send(ask).await, 403, "AccessDenied");
        }
    }
    let listed = them.send(Ask::new("GET", "/theirs/x").query("uploadId", &upload)).await.text();
    assert_eq!(elements(&listed, "PartNumber"), Vec::<String>::new());
    server.expect_clean().await;
}

#[tokio::test]
async fn a_presigned_url_uploads_the_one_part_that_it_was_made_for() {
    let server = Server::start();
    let s3 = client(&server);
    let owner = signer(&server, Who::User(OWNER));
    let us = Uploads { s3: &s3, key: &owner };
    server.bucket(Who::User(OWNER), "mine", "private").await;
    let upload = us.begin("/mine/x").await;
    let url = owner.by_query(part_ask("/mine/x", &upload, 1), &s3.host, 60).body("by url");
    let reply = s3.send(url.clone()).await;
    expect(&reply, 200, "");
    let mut other = url;
    for (name, value) in &mut other.query {
        if name == "partNumber" {
            *value = "2".to_owned();
        }
    }
    expect(&s3.send(other).await, 403, "SignatureDoesNotMatch");
    us.complete("/mine/x", &upload, &[(1, reply.header("etag").to_owned())]).await;
    assert_eq!(server.content("mine/x").await.unwrap(), b"by url");
}
