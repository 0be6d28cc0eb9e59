//! SPEC 3.6: every door to an object × every caller. What REST refuses somebody, S3 refuses through every door, and
//! nothing is written for it.

use futures_util::{StreamExt, stream};

use crate::signer::{Ask, Client};
use crate::support::{OTHER, OWNER, Server, Who};
use crate::{client, expect, forms, signer};

/// A way to write an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Header,
    Presigned,
    SignedChunks,
    UnsignedTrailer,
    Form,
    Copy,
}

const DOORS: [Door; 6] =
    [Door::Header, Door::Presigned, Door::SignedChunks, Door::UnsignedTrailer, Door::Form, Door::Copy];
const POLICIES: [&str; 3] = ["public", "authenticated", "private"];
const CALLERS: [Who; 4] = [Who::Anon, Who::User(OTHER), Who::User(OWNER), Who::Service];

/// Whether a caller may write over what the owner of the bucket has there.
fn may_write(policy: &str, who: Who) -> bool {
    match who {
        Who::Anon => false,
        Who::User(user) => user == OWNER || policy == "authenticated",
        Who::Service => true,
    }
}

fn may_read(policy: &str, who: Who) -> bool {
    match who {
        Who::Anon => policy == "public",
        Who::User(user) => user == OWNER || policy != "private",
        Who::Service => true,
    }
}

async fn write(server: &Server, s3: &Client, door: Door, who: Who, bucket: &str) -> u16 {
    let path = format!("/{bucket}/here");
    let ask = Ask::new("PUT", &path);
    if who == Who::Anon {
        // Nobody has a signature: what is left of a door without one.
        let ask = match door {
            Door::Copy => ask.header("x-amz-copy-source", "free/here"),
            Door::Form => return forms::post(server, None, bucket, "here", b"after", &[]).await.status,
            Door::UnsignedTrailer => ask
                .header("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
                .header("x-amz-decoded-content-length", "5")
                .body("5\r\nafter\r\n0\r\n\r\n"),
            _ => ask.body("after"),
        };
        return s3.send(ask).await.status;
    }
    let signer = signer(server, who);
    let reply = match door {
        Door::Header => s3.signed(&signer, ask.body("after")).await,
        Door::Presigned => s3.send(signer.by_query(ask, &s3.host, 60).body("after")).await,
        Door::SignedChunks => s3.send(signer.in_chunks(ask, &s3.host, &[b"af", b"ter"])).await,
        Door::UnsignedTrailer => {
            let trailer = ("x-amz-checksum-sha1", SHA1_OF_AFTER);
            s3.send(signer.with_trailer(ask, &s3.host, b"after", trailer)).await
        }
        Door::Form => forms::post(server, Some(&signer), bucket, "here", b"after", &[]).await,
        Door::Copy => s3.signed(&signer, ask.header("x-amz-copy-source", "free/here")).await,
    };
    assert!(matches!(reply.status, 200 | 204 | 403), "{door:?} {who:?}: {} {}", reply.status, reply.text());
    reply.status
}

/// Base64 of the SHA-1 of `after`.
const SHA1_OF_AFTER: &str = "QFkGydW+auU5PKZfsOfDjg1YXss=";

async fn check(server: &Server, door: Door, policy: &str, who: Who, number: usize) {
    let (s3, bucket) = (client(server), format!("doors-{number}"));
    server.bucket(Who::User(OWNER), &bucket, policy).await;
    server.put(Who::User(OWNER), &format!("{bucket}/here"), "before").await;
    let status = write(server, &s3, door, who, &bucket).await;
    let said = format!("{door:?} into a {policy} bucket by {who:?}: {status}");
    let allowed = may_write(policy, who);
    assert_eq!(status < 300, allowed, "{said}");
    let wanted: &[u8] = if allowed { b"after" } else { b"before" };
    assert_eq!(server.content(&format!("{bucket}/here")).await.as_deref(), Some(wanted), "{said}");
}

#[tokio::test]
async fn fs_i3_every_door_writes_what_its_caller_may_and_nothing_else() {
    let server = Server::start();
    server.bucket(Who::Service, "free", "public").await;
    server.put(Who::Service, "free/here", "after").await;
    let mut cells = Vec::new();
    for door in DOORS {
        for policy in POLICIES {
            for who in CALLERS {
                cells.push((door, policy, who, cells.len()));
            }
        }
    }
    let run = |&(door, policy, who, number): &(Door, &'static str, Who, usize)| {
        let server = &server;
        async move { check(server, door, policy, who, number).await }
    };
    stream::iter(&cells).for_each_concurrent(24, run).await;
    server.expect_clean().await;
}

#[tokio::test]
async fn fs_i3_reading_listing_deleting_tagging_and_copying_from_take_what_rest_takes() {
    let server = Server::start();
    let s3 = client(&server);
    server.bucket(Who::Service, "mine", "authenticated").await;
    for policy in POLICIES {
        server.bucket(Who::User(OWNER), policy, policy).await;
        server.put(Who::User(OWNER), &format!("{policy}/here"), "before").await;
        for who in CALLERS {
            let send = async |ask: Ask| match who {
                Who::Anon => s3.send(ask).await,
                who => s3.signed(&signer(&server, who), ask).await,
            };
            let (reads, said) = (may_read(policy, who), format!("{policy} {who:?}"));
            let here = format!("/{policy}/here");
            for (method, path) in
                [("GET", here.clone()), ("HEAD", here.clone()), ("GET", format!("/{policy}"))]
            {
                let reply = send(Ask::new(method, &path)).await;
                assert_eq!(
                    reply.status,
                    if reads { 200 } else { 403 },
                    "{said} {method} {path}: {}",
                    reply.text()
                );
            }
            let reply = send(Ask::new("GET", &here).query("tagging", "")).await;
            assert_eq!(reply.status, if reads { 200 } else { 403 }, "{said}: {}", reply.text());
            if who != Who::Anon {
                let copy =
                    Ask::new("PUT", &format!("/mine/{policy}")).header("x-amz-copy-source", &here[1..]);
                let reply = send(copy).await;
                assert_eq!(reply.status, if reads { 200 } else { 403 }, "{said} copies: {}", reply.text());
            }
            let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
            let reply = send(Ask::new("PUT", &here).query("tagging", "").body(tags)).await;
            let writes = may_write(policy, who);
            assert_eq!(reply.status, if writes { 200 } else { 403 }, "{said} tags: {}", reply.text());
            // Who may not delete, takes nothing away.
            let deletes = matches!(who, Who::Service) || who == Who::User(OWNER);
            if !deletes {
                let reply = send(Ask::new("DELETE", &here)).await;
                expect(&reply, 403, "AccessDenied");
                let all = "<Delete><Object><Key>here</Key></Object></Delete>";
                let reply = send(Ask::new("POST", &format!("/{policy}")).query("delete", "").body(all)).await;
                assert!(
                    reply.status == 403 || reply.text().contains("AccessDenied"),
                    "{said}: {}",
                    reply.text()
                );
                assert!(server.content(&here[1..]).await.is_some(), "{said}");
            }
        }
        let owner = signer(&server, Who::User(OWNER));
        let reply = s3.signed(&owner, Ask::new("DELETE", &format!("/{policy}/here"))).await;
        expect(&reply, 204, "");
        assert_eq!(server.content(&format!("{policy}/here")).await, None);
    }
}

#[tokio::test]
async fn a_session_token_lists_what_rest_lists() {
    let server = Server::start();
    server.bucket(Who::Service, "shared", "private").await;
    for (who, name) in [(Who::User(OWNER), "mine"), (Who::User(OTHER), "theirs")] {
        server.put(who, &format!("shared/{name}"), "1").await;
    }
    let list = Ask::new("GET", "/shared").query("list-type", "2");
    let listed = client(&server).signed(&signer(&server, Who::User(OWNER)), list).await;
    expect(&listed, 200, "");
    assert!(
        listed.text().contains("<Key>mine</Key>") && !listed.text().contains("theirs"),
        "{}",
        listed.text()
    );
    let nobody = client(&server).send(Ask::new("GET", "/")).await;
    expect(&nobody, 403, "AccessDenied");
}
