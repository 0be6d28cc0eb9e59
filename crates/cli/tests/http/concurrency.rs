//! Many at once: one winner, no torn bytes, no error, nothing left over.

use std::collections::BTreeSet;

use futures_util::{StreamExt, future, stream};
use serde_json::json;

use super::batch::upload;
use super::support::{OWNER, Server, Who, pattern};

const ME: Who = Who::User(OWNER);

async fn server_with_a_bucket() -> Server {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fs_i4_of_forty_writers_on_one_path_one_wins_whole() {
    let server = server_with_a_bucket().await;
    for (round, size) in [100, 20_000, 300_000].into_iter().enumerate() {
        let path = format!("/object/box/{round}");
        let writes = (0..40_u8).map(|writer| server.call(ME, "POST", &path).body(vec![writer; size]).send());
        let replies = future::join_all(writes).await;
        let winners: Vec<_> = (0..40).filter(|writer| replies[*writer].status == 201).collect();
        assert_eq!(winners.len(), 1, "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());
        let winner = winners[0] as u8;
        for reply in replies.into_iter().filter(|reply| reply.status != 201) {
            reply.expect_error(409, "OBJECT_EXISTS");
        }
        assert!(
            server.content(&format!("box/{round}")).await == Some(vec![winner; size]),
            "the winner's bytes, whole"
        );

        // Of those who may replace, each succeeds, and what is there in the end is one of theirs, whole.
        let writes = (0..40_u8).map(|writer| server.call(ME, "PUT", &path).body(vec![writer; size]).send());
        for reply in future::join_all(writes).await {
            reply.expect_status(200);
        }
        let content = server.content(&format!("box/{round}")).await.unwrap();
        assert!(content == vec![content[0]; size], "the last writer's bytes, whole");
    }
    server.expect_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_uploads_at_once_all_succeed() {
    // All that a busy machine needs for them: the last one waits for all others.
    let server = Server::start_with(&[("AEROSTORE_POSTGRES_CONNECTION_WAIT", "60s")]);
    server.bucket(ME, "box", "private").await;
    let body = |number: usize| {
        format!("{number};").into_bytes().into_iter().cycle().take(20 + number * 37).collect::<Vec<_>>()
    };
    let uploads = (0..1000)
        .map(|number| server.call(ME, "POST", &format!("/object/box/{number}")).body(body(number)).send());
    for reply in future::join_all(uploads).await {
        reply.expect_status(201);
    }
    stream::iter(0..1000)
        .for_each_concurrent(32, |number| {
            let server = &server;
            async move {
                let content = server.content(&format!("box/{number}")).await;
                assert!(content == Some(body(number)), "{number}");
            }
        })
        .await;
    let bucket = server.call(ME, "GET", "/bucket/box").send().await.json();
    let bytes: usize = (0..1000).map(|number| body(number).len()).sum();
    assert_eq!((&bucket["file_count"], &bucket["total_size"]), (&json!(1000), &json!(bytes)));
    server.expect_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_that_come_and_go_leave_nothing() {
    let server = server_with_a_bucket().await;
    let churn = (0..16).map(|worker| {
        let server = &server;
        async move {
            for round in 0..20 {
                // Half of the workers share their paths with another one.
                let path = format!("/object/box/{}", worker / 2 * 100 + round % 3);
                let size = if round % 2 == 0 { 50 } else { 40_000 };
                server.call(ME, "PUT", &path).body(pattern(size)).send().await.expect_status(200);
                let reply = server.call(ME, "GET", &path).send().await;
                match reply.status {
                    200 => assert!(reply.body == pattern(reply.body.len()), "{path}: torn"),
                    404 => {}
                    status => panic!("{path}: {status} {}", reply.text()),
                }
                server.call(ME, "DELETE", &path).send().await.expect_status(204);
            }
        }
    });
    future::join_all(churn).await;
    for _ in 0..40 {
        server.bucket(ME, "short-lived", "private").await;
        server.put(ME, "short-lived/x", "x").await;
        server.call(ME, "DELETE", "/bucket/short-lived").send().await.expect_error(409, "BUCKET_NOT_EMPTY");
        server.call(ME, "POST", "/bucket/short-lived/empty").send().await.expect_status(200);
        server.call(ME, "DELETE", "/bucket/short-lived").send().await.expect_status(200);
    }
    let listed = server.call(ME, "POST", "/object/list-v2/box").json(&json!({})).send().await.json();
    assert_eq!(listed["objects"], json!([]));
    server.expect_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bkt_i1_of_many_who_create_one_bucket_one_does() {
    let server = Server::start();
    let creations =
        (0..40).map(|_| server.call(ME, "POST", "/bucket").json(&json!({ "name": "box" })).send());
    let replies = future::join_all(creations).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
    for reply in replies.into_iter().filter(|reply| reply.status != 201) {
        reply.expect_error(409, "BUCKET_EXISTS");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_files_are_listed_page_by_page() {
    let server = server_with_a_bucket().await;
    let place = |number: usize| format!("d{:02}/f{number:05}", number % 40);
    let mut wanted: Vec<_> = (0..10_000).map(place).collect();
    // Some come one by one, many at once; the others in batches, which are sooner done.
    let (single, others) = wanted.split_at(512);
    stream::iter(single)
        .for_each_concurrent(128, |name| {
            let call = server.call(ME, "POST", &format!("/object/box/{name}")).body("x");
            async move { drop(call.send().await.expect_status(201)) }
        })
        .await;
    for thousand in others.chunks(1000) {
        let files: Vec<(&str, &[u8])> = thousand.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
        upload(&server, ME, "false", &files).await.expect_status(200);
    }
    wanted.sort();

    let mut found = Vec::new();
    let mut cursor = json!(null);
    loop {
        let mut ask = json!({ "limit": 777 });
        if !cursor.is_null() {
            ask["cursor"] = cursor;
        }
        let page =
            server.call(ME, "POST", "/object/list-v2/box").json(&ask).send().await.expect_status(200).json();
        let objects = page["objects"].as_array().unwrap();
        assert!(objects.len() <= 777);
        found.extend(objects.iter().map(|row| row["name"].as_str().unwrap().to_owned()));
        if page["hasNext"] == false {
            break;
        }
        cursor = page["nextCursor"].clone();
    }
    assert!(found == wanted, "every file once, in order: {} of {}", found.len(), wanted.len());

    let ask = json!({ "with_delimiter": true });
    let top =
        server.call(ME, "POST", "/object/list-v2/box").json(&ask).send().await.expect_status(200).json();
    assert_eq!((top["folders"].as_array().unwrap().len(), top["objects"].as_array().unwrap().len()), (40, 0));

    let mut names = BTreeSet::new();
    for offset in (0..300).step_by(100) {
        let ask = json!({ "prefix": "d07", "limit": 100, "offset": offset });
        let page =
            server.call(ME, "POST", "/object/list/box").json(&ask).send().await.expect_status(200).json();
        names.extend(page.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()));
    }
    let wanted: BTreeSet<_> =
        (0..10_000).filter(|number| number % 40 == 7).map(|number| format!("f{number:05}")).collect();
    assert_eq!(names, wanted);
    server.expect_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_gets_the_bytes_that_were_there_when_it_began() {
    let server = server_with_a_bucket().await;
    let old = pattern(30_000_000);
    server.put(ME, "box/replaced", old.clone()).await;
    server.put(ME, "box/deleted", old.clone()).await;
    server.put(ME, "box/moved", old.clone()).await;
    let mut readers = Vec::new();
    for path in ["replaced", "deleted", "moved"] {
        let mut reader = server.call(ME, "GET", &format!("/object/box/{path}")).start().await;
        let first = reader.chunk().await.unwrap().unwrap();
        readers.push((path, reader, first.to_vec()));
    }
    // Far more is on the way than sockets hold: the rest is read only after all this.
    server.put(ME, "box/replaced", vec![0; 30_000_000]).await;
    server.call(ME, "DELETE", "/object/box/deleted").send().await.expect_status(204);
    let body = json!({ "bucketId": "box", "sourceKey": "moved", "destinationKey": "elsewhere" });
    server.call(ME, "POST", "/object/move").json(&body).send().await.expect_status(200);
    server.call(ME, "DELETE", "/object/box/elsewhere").send().await.expect_status(204);
    for (path, mut reader, mut got) in readers {
        while let Some(chunk) = reader.chunk().await.unwrap() {
            got.extend_from_slice(&chunk);
        }
        assert!(got == old, "{path}: {} bytes", got.len());
    }
    assert_eq!(server.content("box/deleted").await, None);
    assert!(server.content("box/replaced").await == Some(vec![0; 30_000_000]));
}
