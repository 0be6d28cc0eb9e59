//! HTTP written by hand, for what well-behaved clients would not send.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than any answer takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer, read byte by byte.
#[derive(Debug)]
pub(crate) struct RawReply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl RawReply {
    /// The error's code; empty where the body is none of ours.
    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends the beginning of a request and keeps the connection.
pub(crate) async fn open(address: SocketAddr, request: impl AsRef<[u8]>) -> TcpStream {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(request.as_ref()).await.unwrap();
    connection
}

/// Sends a whole request and reads its answer.
pub(crate) async fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> RawReply {
    read_reply(&mut open(address, request).await).await
}

/// Reads one answer, also an interim one such as `100 Continue`.
pub(crate) async fn read_reply(connection: &mut TcpStream) -> RawReply {
    tokio::time::timeout(PATIENCE, read(connection)).await.expect("an answer in time")
}

async fn read(connection: &mut TcpStream) -> RawReply {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match connection.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(error) => panic!("no answer but {:?}: {error}", String::from_utf8_lossy(&head)),
        }
    }
    let head = String::from_utf8(head).unwrap();
    let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    let mut body = vec![0; if status < 200 { 0 } else { length.unwrap_or(0) }];
    connection.read_exact(&mut body).await.unwrap();
    RawReply { status, head, body }
}
