//! What a client may do to a connection, and for how long.

use std::time::Duration;

use server::http::HttpOptions;
use tokio::io::AsyncWriteExt;

use crate::support::{TestServer, get_request, header, read_to_end, read_until};

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn requests_share_a_connection_and_small_ones_get_their_answer() {
    let server = TestServer::start(HttpOptions::default());
    let mut connection = server.connect().await;
    for _ in 0..3 {
        connection.write_all(b"GET /hello HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
        let answer = read_until(&mut connection, "\r\n\r\nhello").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    let body = "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\n\r\nback";
    connection.write_all(body.as_bytes()).await.unwrap();
    read_until(&mut connection, "\r\n\r\nback").await;
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_understood() {
    let server = TestServer::start(HttpOptions::default());
    let mut connection = server.connect().await;
    // The preface, empty settings, and one HEADERS frame: GET, http, /hello, with END_STREAM and END_HEADERS.
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    let head = b"\x82\x86\x04\x06/hello\x01\x04test";
    bytes.extend_from_slice(&[0, 0, u8::try_from(head.len()).unwrap(), 1, 0x05, 0, 0, 0, 1]);
    bytes.extend_from_slice(head);
    connection.write_all(&bytes).await.unwrap();
    read_until(&mut connection, "hello").await;
}

#[tokio::test]
async fn a_head_that_does_not_come_closes_the_connection() {
    let server = TestServer::start(HttpOptions { header_timeout: SHORT, ..HttpOptions::default() });
    for beginning in ["", "GET /hel", "GET /hello HTTP/1.1\r\nhost: test\r\nx-slow: "] {
        let mut connection = server.connect().await;
        connection.write_all(beginning.as_bytes()).await.unwrap();
        let answer = read_to_end(&mut connection).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{beginning:?}: {answer}");
    }
}

#[tokio::test]
async fn a_body_that_stalls_is_answered_with_408_and_closed() {
    let server = TestServer::start(HttpOptions { body_idle_timeout: SHORT, ..HttpOptions::default() });
    for framing in ["content-length: 100\r\n\r\nonly this", "transfer-encoding: chunked\r\n\r\n4\r\nonly\r\n"]
    {
        let answer = server.exchange(&format!("POST /echo HTTP/1.1\r\nhost: test\r\n{framing}")).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{framing}: {answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(answer.contains(r#""code":"INVALID_REQUEST""#), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_goes_on_after_a_body_that_nobody_read() {
    let server = TestServer::start(HttpOptions::default());
    let mut connection = server.connect().await;
    for (framing, body) in [
        ("content-length: 5", "hello".to_owned()),
        ("transfer-encoding: chunked", "5\r\nhello\r\n0\r\n\r\n".to_owned()),
        ("content-length: 33554432", "x".repeat(32 << 20)),
    ] {
        // All of the body before the first byte of the answer is read, as many clients do.
        let head = format!("POST /unread HTTP/1.1\r\nhost: test\r\n{framing}\r\n\r\n");
        connection.write_all(head.as_bytes()).await.unwrap();
        connection.write_all(body.as_bytes()).await.expect("nobody resets the connection");
        let answer = read_until(&mut connection, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{framing}: {answer}");
        assert_eq!(header(&answer, "connection"), None, "{framing}: {answer}");
    }
    connection.write_all(b"GET /hello HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    read_until(&mut connection, "hello").await;
}

#[tokio::test]
async fn a_client_that_waits_for_leave_is_refused_before_it_sends() {
    let server = TestServer::start(HttpOptions::default());
    let head = "host: test\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    let answer = server.exchange(&format!("POST /unread HTTP/1.1\r\n{head}")).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let server = TestServer::start(HttpOptions { body_idle_timeout: SHORT, ..HttpOptions::default() });
    let mut connection = server.connect().await;
    connection.write_all(get_request("/endless", &[]).as_bytes()).await.unwrap();
    // The server has nobody to tell: it closes, which shows when its connections have all ended.
    connection.readable().await.unwrap();
    server.shutdown.stop();
    let finished = tokio::time::timeout(crate::support::PATIENCE, server.running).await.unwrap().unwrap();
    assert!(finished, "the endless answer was cut by its own timeout, well before the grace of 30 s");
}

#[tokio::test]
async fn one_connection_too_many_waits_for_its_turn() {
    let server = TestServer::start(HttpOptions { max_connections: 1, ..HttpOptions::default() });
    let mut first = server.connect().await;
    first.write_all(b"GET /hello HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    read_until(&mut first, "hello").await;
    let mut second = server.connect().await;
    second.write_all(get_request("/hello", &[]).as_bytes()).await.unwrap();
    let answer = read_to_end(&mut second);
    tokio::pin!(answer);
    tokio::select! {
        biased;
        early = &mut answer => panic!("answered beside the first one: {early}"),
        () = tokio::time::sleep(SHORT) => {}
    }
    drop(first);
    assert!(answer.await.ends_with("hello"));
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_server_lives() {
    let server = TestServer::start(HttpOptions::default());
    let mut connection = server.connect().await;
    connection.write_all(b"GET /panic HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    let answer = read_until(&mut connection, "}").await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(answer.contains(r#""code":"INTERNAL""#) && !answer.contains("bug"), "{answer}");
    connection.write_all(b"GET /hello HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    read_until(&mut connection, "\r\n\r\nhello").await;
}
