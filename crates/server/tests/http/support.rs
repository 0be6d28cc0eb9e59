//! A server with a few routes of its own, and a client that speaks HTTP byte by byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::StatusCode;
use server::http::{Harness, HttpOptions, Listener, OperationLog, RequestId, Shutdown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Longer than anything here takes; only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: Shutdown,
    /// Lets `GET /gated` go on.
    pub(crate) gate: Arc<Notify>,
    /// Told when a handler has begun.
    pub(crate) begun: Arc<Notify>,
    pub(crate) running: JoinHandle<bool>,
}

impl TestServer {
    pub(crate) fn start(options: HttpOptions) -> Self {
        let (gate, begun) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.address();
        let shutdown = Shutdown::default();
        let routes = routes(gate.clone(), begun.clone());
        let running = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { listener.serve(Harness::new(routes, &options), &options, &shutdown).await }
        });
        Self { address, shutdown, gate, begun, running }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends a whole request on a connection of its own and reads until the server closes it.
    pub(crate) async fn exchange(&self, request: &str) -> String {
        let mut connection = self.connect().await;
        connection.write_all(request.as_bytes()).await.unwrap();
        read_to_end(&mut connection).await
    }
}

fn routes(gate: Arc<Notify>, begun: Arc<Notify>) -> Router {
    let log = |size| {
        let mut log = OperationLog::new("download");
        (log.bucket, log.path, log.size) =
            (Some("avatars".to_owned()), Some("a/b.png".to_owned()), Some(size));
        axum::Extension(log)
    };
    Router::new()
        .route("/hello", get(|| async { "hello" }))
        .route("/id", get(|axum::Extension(id): axum::Extension<RequestId>| async move { id.0.to_string() }))
        .route("/logged", get(move || async move { (log(5), "hello") }))
        .route("/refused", get(|| async { StatusCode::FORBIDDEN }))
        .route("/unread", post(|| async { StatusCode::FORBIDDEN }))
        .route("/panic", get(|| async { panic_now() }))
        .route("/echo", post(|body: Bytes| async move { body }))
        .route(
            "/endless",
            get(move || async move {
                let chunk = Bytes::from(vec![7_u8; 64 * 1024]);
                (log(u64::MAX), Body::from_stream(stream::repeat(chunk).map(Ok::<_, std::io::Error>)))
            }),
        )
        // As long as it says, and with an end that nobody sees.
        .route(
            "/sized",
            get(move || async move {
                let whole = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"whole"))]);
                (log(5), [("content-length", "5")], Body::from_stream(whole.chain(stream::pending())))
            }),
        )
        .route(
            "/broken",
            get(move || async move {
                let bytes = [Ok(Bytes::from_static(b"half")), Err(std::io::Error::other("the disk is gone"))];
                (log(8), Body::from_stream(stream::iter(bytes)))
            }),
        )
        .route(
            "/gated",
            post(move |body: Body| async move {
                begun.notify_one();
                let body = axum::body::to_bytes(body, usize::MAX).await;
                gate.notified().await;
                body.map_or(StatusCode::BAD_REQUEST.into_response(), IntoResponse::into_response)
            }),
        )
}

#[allow(clippy::panic, reason = "what a handler must not do is what is tested")]
fn panic_now() -> &'static str {
    panic!("a handler's bug")
}

/// Reads until the server closes the connection, however it does.
pub(crate) async fn read_to_end(connection: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = connection.read_to_end(&mut answer);
    let _ = tokio::time::timeout(PATIENCE, reading).await.expect("the server closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads until the text has come.
pub(crate) async fn read_until(connection: &mut TcpStream, text: &str) -> String {
    let reading = async {
        let (mut answer, mut buffer) = (Vec::new(), [0_u8; 4096]);
        while !String::from_utf8_lossy(&answer).contains(text) {
            let count = connection.read(&mut buffer).await.unwrap();
            assert_ne!(count, 0, "closed after: {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the text comes")
}

/// A GET that closes its connection.
pub(crate) fn get_request(path: &str, headers: &[(&str, &str)]) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n")
}

/// The value of a header in an answer.
pub(crate) fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next()?;
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .find_map(|(key, value)| (key == name).then_some(value))
}
