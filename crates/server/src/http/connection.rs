//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::accept::Shutdown;
use super::io::WatchedStream;
use super::{Harness, HttpOptions};

/// Requests of one HTTP/2 connection that run at once.
const MAX_STREAMS: u32 = 128;
/// The most that an HTTP/1 connection reads or writes in one call, and so how large the chunks of an upload's body are and
/// how much of a download waits in it, in bytes. It is also the largest head of a request.
const BUFFER: usize = 64 * 1024;
/// How long an HTTP/2 client may leave a ping unanswered.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// The settings of all connections.
pub(super) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    header_timeout: Duration,
    write_timeout: Duration,
}

impl Protocols {
    pub(super) fn new(options: &HttpOptions) -> Self {
        let mut http1 = http1::Builder::new();
        // IMPORTANT: never `pipeline_flush`: with it, hyper's write buffer has no bound, and a body that is faster
        // than its client is taken into memory as a whole.
        http1.timer(TokioTimer::new()).header_read_timeout(options.header_timeout).max_buf_size(BUFFER);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .keep_alive_interval(options.header_timeout)
            .keep_alive_timeout(PING_TIMEOUT)
            .adaptive_window(true);
        Self {
            http1,
            http2,
            header_timeout: options.header_timeout,
            write_timeout: options.body_idle_timeout,
        }
    }

    /// Serves a connection until its client closes it, or the server stops: then its running requests finish first.
    pub(super) async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        harness: Arc<Harness>,
        shutdown: Shutdown,
    ) {
        // Without it, the last segment of an answer waits for the client's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY was refused");
        }
        let is_http2 = tokio::select! {
            is_http2 = timeout(self.header_timeout, begins_as_http2(&stream)) => is_http2,
            () = shutdown.stopping() => return,
        };
        let Ok(is_http2) = is_http2 else { return };
        let io = TokioIo::new(WatchedStream::new(stream, self.write_timeout));
        let service = service_fn(move |request| {
            let answer = harness.clone().handle(request, peer);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let ended = if is_http2 {
            let connection = pin!(self.http2.serve_connection(io, service));
            run(connection, http2::Connection::graceful_shutdown, &shutdown).await
        } else {
            let connection = pin!(self.http1.serve_connection(io, service));
            run(connection, http1::Connection::graceful_shutdown, &shutdown).await
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "connection ended");
        }
    }
}

/// Whether a client begins with HTTP/2's preface, which it then sends in one piece. No method that is served begins
/// with the same three letters.
async fn begins_as_http2(stream: &TcpStream) -> bool {
    let mut beginning = [0_u8; 3];
    matches!(stream.peek(&mut beginning).await, Ok(3)) && beginning == *b"PRI"
}

/// Runs a connection to its end; on shutdown the polite way first.
async fn run<C: Future<Output = hyper::Result<()>>>(
    mut connection: Pin<&mut C>,
    end: impl FnOnce(Pin<&mut C>),
    shutdown: &Shutdown,
) -> hyper::Result<()> {
    tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        () = shutdown.stopping() => end(connection.as_mut()),
    }
    tokio::select! {
        ended = connection => ended,
        () = shutdown.cutting() => Ok(()),
    }
}
