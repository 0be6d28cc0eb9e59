//! How a server ends.

use std::time::{Duration, Instant};

use server::http::HttpOptions;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{PATIENCE, TestServer, read_to_end, read_until};

/// A connection whose upload has begun, and lacks its last byte.
async fn upload_in_flight(server: &TestServer) -> TcpStream {
    let mut connection = server.connect().await;
    let beginning = b"POST /gated HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhell";
    connection.write_all(beginning).await.unwrap();
    server.begun.notified().await;
    connection
}

#[tokio::test]
async fn a_running_upload_finishes_and_new_connections_are_refused() {
    let server = TestServer::start(HttpOptions::default());
    let mut idle = server.connect().await;
    idle.write_all(b"GET /hello HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    read_until(&mut idle, "hello").await;
    let mut upload = upload_in_flight(&server).await;

    server.shutdown.stop();
    assert_eq!(read_to_end(&mut idle).await, "", "a kept connection that idles is closed at once");
    let refused = async {
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the socket is closed");

    server.gate.notify_one();
    upload.write_all(b"o").await.unwrap();
    let answer = read_to_end(&mut upload).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello"), "{answer}");
    assert!(tokio::time::timeout(PATIENCE, server.running).await.unwrap().unwrap());
}

#[tokio::test]
async fn what_outlasts_the_grace_is_cut_off() {
    let grace = Duration::from_millis(200);
    let server = TestServer::start(HttpOptions { shutdown_grace: grace, ..HttpOptions::default() });
    let mut upload = upload_in_flight(&server).await;
    let began = Instant::now();
    server.shutdown.stop();
    assert_eq!(read_to_end(&mut upload).await, "");
    assert!(!server.running.await.unwrap());
    assert!(began.elapsed() >= grace);
}

#[tokio::test]
async fn a_second_word_ends_it_at_once() {
    let server = TestServer::start(HttpOptions::default());
    let mut upload = upload_in_flight(&server).await;
    server.shutdown.stop();
    server.shutdown.cut();
    assert_eq!(read_to_end(&mut upload).await, "");
    assert!(!server.running.await.unwrap());
}
