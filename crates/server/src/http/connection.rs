//! One connection, from its first byte to its end.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;

use super::accept::Shutdown;
use super::io::WatchedStream;
use super::{Harness, HttpOptions};

/// Requests of one HTTP/2 connection that run at once.
const MAX_STREAMS: u32 = 128;

/// The protocol settings of all connections.
pub(super) fn builder(options: &HttpOptions) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .pipeline_flush(true)
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(options.header_timeout)
        .keep_alive_timeout(Duration::from_secs(20))
        .adaptive_window(true);
    builder
}

/// Serves a connection until its client closes it, or the server stops: then its running requests finish first.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    harness: Arc<Harness>,
    builder: Arc<Builder<TokioExecutor>>,
    write_timeout: Duration,
    shutdown: Shutdown,
) {
    // Without it, the last segment of an answer waits for the client's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "TCP_NODELAY was refused");
    }
    let io = TokioIo::new(WatchedStream::new(stream, write_timeout));
    let service = service_fn(move |request| {
        let answer = harness.clone().handle(request, peer);
        async move { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    let mut connection = pin!(builder.serve_connection(io, service));
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = shutdown.stopping() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = shutdown.cutting() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}
