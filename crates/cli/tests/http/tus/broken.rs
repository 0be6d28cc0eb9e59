//! Connections that break, servers that are killed, clients that come back.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::{append, begin, offset, place, tus};
use crate::support::{OWNER, Server, Who, open, pattern, read_reply};

const ME: Who = Who::User(OWNER);

/// The head of a PATCH of so many bytes.
fn head(server: &Server, place: &str, offset: usize, length: usize) -> String {
    format!(
        "PATCH /storage/v1/upload/resumable{place} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         tus-resumable: 1.0.0\r\ncontent-type: application/offset+octet-stream\r\nupload-offset: {offset}\r\n\
         content-length: {length}\r\n\r\n",
        server.token(ME)
    )
}

#[tokio::test]
async fn what_came_before_the_connection_broke_is_kept() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    let bytes = pattern(800_000);
    let place = place(begin(&server, ME, "a", bytes.len()).send().await);
    let mut at = 0;
    for sent in [1_000, 300_000, 5_000] {
        let mut connection = open(server.address, head(&server, &place, at, bytes.len() - at)).await;
        connection.write_all(&bytes[at..at + sent]).await.unwrap();
        connection.flush().await.unwrap();
        // Some of it is on its way for a moment; then the client is gone.
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(connection);
        let mut there = offset(&server, ME, &place).await;
        for _ in 0..2000 {
            if there == at + sent {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            there = offset(&server, ME, &place).await;
        }
        assert_eq!(there, at + sent);
        at = there;
    }
    append(&server, ME, &place, at, &bytes[at..]).send().await.expect_status(204);
    assert_eq!(server.content("box/a").await.unwrap(), bytes);
    server.expect_clean().await;
}

#[tokio::test]
async fn a_client_that_comes_back_need_not_wait_for_its_dead_request() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    let bytes = pattern(500_000);
    let place = place(begin(&server, ME, "a", bytes.len()).send().await);
    // A request that stands still, with its connection open.
    let mut dead = open(server.address, head(&server, &place, 0, bytes.len())).await;
    dead.write_all(&bytes[..300_000]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let started = std::time::Instant::now();
    let there = offset(&server, ME, &place).await;
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert_eq!(there, 300_000, "what it brought is kept");
    let told = read_reply(&mut dead).await;
    assert_eq!((told.status, told.code()), (423, "UPLOAD_TAKEN_OVER".to_owned()));
    append(&server, ME, &place, there, &bytes[there..]).send().await.expect_status(204);
    assert_eq!(server.content("box/a").await.unwrap(), bytes);
    server.expect_clean().await;
}

#[tokio::test]
async fn two_writers_never_mix() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    let size = 2_000_000;
    let place = place(begin(&server, ME, "a", size).send().await);
    let writer = async |byte: u8| {
        for _ in 0..200 {
            let at = match tus(&server, ME, "HEAD", &place).send().await {
                reply if reply.status == 200 => reply.header("upload-offset").parse::<usize>().unwrap(),
                reply => {
                    assert_eq!(reply.status, 423, "{}", reply.text());
                    continue;
                }
            };
            if at == size {
                return;
            }
            let end = (at + 150_000).min(size);
            // Each byte says where it is, and by whom.
            let bytes: Vec<u8> = (at..end).map(|at| (at / 1000 % 100) as u8 * 2 + byte).collect();
            let reply = append(&server, ME, &place, at, &bytes).send().await;
            assert!([204, 409, 423].contains(&reply.status), "{} {}", reply.status, reply.text());
        }
    };
    tokio::join!(writer(0), writer(1));
    // They may have kept each other from the end.
    writer(0).await;
    let found = server.content("box/a").await.unwrap();
    assert_eq!(found.len(), size);
    for (at, byte) in found.iter().enumerate() {
        assert_eq!(byte / 2, (at / 1000 % 100) as u8, "at {at}");
    }
    server.expect_clean().await;
}

#[tokio::test]
async fn every_acknowledged_offset_survives_a_kill() {
    let mut server = Server::start();
    server.bucket(ME, "box", "private").await;
    let bytes = pattern(400_000);
    let place = place(begin(&server, ME, "a", bytes.len()).send().await);
    let mut at = 0;
    for size in [10, 200_000, 20_000, 30_000] {
        append(&server, ME, &place, at, &bytes[at..at + size]).send().await.expect_status(204);
        at += size;
        server = Server::start_in(server.stop(), &[]);
        assert_eq!(offset(&server, ME, &place).await, at);
    }
    append(&server, ME, &place, at, &bytes[at..]).send().await.expect_status(204);
    assert_eq!(server.content("box/a").await.unwrap(), bytes);
    server.expect_clean().await;
}

#[tokio::test]
async fn a_server_that_is_stopped_keeps_what_came() {
    let server = Server::start_with(&[("AEROSTORE_SERVER_SHUTDOWN_GRACE", "1s")]);
    server.bucket(ME, "box", "private").await;
    let bytes = pattern(3_000_000);
    let place = place(begin(&server, ME, "a", bytes.len()).send().await);
    let mut slow = open(server.address, head(&server, &place, 0, bytes.len())).await;
    slow.write_all(&bytes[..2_000_000]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let server = Server::start_in(server.terminate(), &[]);
    assert_eq!(offset(&server, ME, &place).await, 2_000_000);
    append(&server, ME, &place, 2_000_000, &bytes[2_000_000..]).send().await.expect_status(204);
    assert_eq!(server.content("box/a").await.unwrap(), bytes);
    server.expect_clean().await;
}

#[tokio::test]
async fn an_upload_has_time_as_long_as_something_comes() {
    let server = Server::start_with(&[("AEROSTORE_UPLOADS_RESUMABLE_EXPIRY", "2s")]);
    server.bucket(ME, "box", "private").await;
    let bytes = pattern(40_000);
    let place = place(begin(&server, ME, "a", bytes.len()).send().await);
    let mut slow = open(server.address, head(&server, &place, 0, bytes.len())).await;
    for piece in bytes.chunks(5_000) {
        slow.write_all(piece).await.unwrap();
        slow.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(450)).await;
    }
    assert_eq!(read_reply(&mut slow).await.status, 204);
    assert_eq!(server.content("box/a").await.unwrap(), bytes);
}

#[tokio::test]
async fn uploads_end_when_their_time_is_over() {
    let server = Server::start_with(&[("AEROSTORE_UPLOADS_RESUMABLE_EXPIRY", "1s")]);
    server.bucket(ME, "box", "private").await;
    let place = place(begin(&server, ME, "a", 400_000).send().await);
    append(&server, ME, &place, 0, &pattern(300_000)).send().await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    append(&server, ME, &place, 300_000, b"x").send().await.expect_error(410, "UPLOAD_EXPIRED");
    tus(&server, ME, "HEAD", &place).send().await.expect_status(410);
    server.request(Who::Service, "POST", "/api/v1/storage/cleanup").send().await.expect_status(200);
    tus(&server, ME, "HEAD", &place).send().await.expect_status(404);
    for _ in 0..1000 {
        if server.files_on_disk() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.files_on_disk(), 0);
    server.expect_clean().await;
}
