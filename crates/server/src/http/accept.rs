//! The listening socket, and the connections that came through it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::Protocols;
use super::{Harness, HttpOptions};

/// Connections that may wait in the kernel.
const BACKLOG: u32 = 4096;
/// How long accepting rests after it failed for lack of file descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// How a server is told to end: that it will, then politely, then at once. Each of these says those before it, too.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Of who sends requests here.
    drain: CancellationToken,
    stop: CancellationToken,
    /// Of running requests.
    cut: CancellationToken,
    /// Of what is kept of them, too.
    abandon: CancellationToken,
}

impl Shutdown {
    /// Requests are taken as before; whoever asks is told to send no more.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// No new requests; running ones finish.
    pub fn stop(&self) {
        self.drain();
        self.stop.cancel();
    }

    /// Running requests are cut off, too, and nothing is waited for.
    pub fn cut(&self) {
        self.stop();
        self.cut.cancel();
        self.abandon.cancel();
    }

    /// Running requests are cut off; what they brought is still brought to an end.
    fn cut_off_requests(&self) {
        self.stop();
        self.cut.cancel();
    }

    /// Waits for [`Shutdown::drain`].
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Waits for [`Shutdown::stop`].
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Waits until running requests are cut off.
    pub async fn cutting(&self) {
        self.cut.cancelled().await;
    }

    /// Waits for [`Shutdown::cut`].
    pub async fn abandoning(&self) {
        self.abandon.cancelled().await;
    }
}

/// A socket that listens; connections wait in the kernel until [`Listener::serve`].
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds an address; port 0 takes a free one.
    ///
    /// # Errors
    /// What the system says, mostly that the address is in use.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restart must not wait for the connections of the process before.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let socket = socket.listen(BACKLOG)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The address in use.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves connections until `shutdown`, and then until the running requests have finished, `shutdown_grace` has
    /// passed, or `shutdown` says to cut. `true` where all finished.
    pub async fn serve(
        self,
        harness: impl Into<Arc<Harness>>,
        options: &HttpOptions,
        shutdown: &Shutdown,
    ) -> bool {
        let tracker = TaskTracker::new();
        self.accept(harness.into(), options, shutdown, &tracker).await;
        tracker.close();
        tracing::info!(connections = tracker.len(), "no new requests; waiting for running ones");
        let finished = tokio::select! {
            () = tracker.wait() => true,
            () = tokio::time::sleep(options.shutdown_grace) => false,
            () = shutdown.cutting() => false,
        };
        if !finished {
            tracing::warn!(connections = tracker.len(), "requests that did not finish in time are cut off");
            shutdown.cut_off_requests();
            tracker.wait().await;
        }
        finished
    }

    /// Accepts until told to stop; the socket is closed on return, so that new connections are refused.
    async fn accept(
        self,
        harness: Arc<Harness>,
        options: &HttpOptions,
        shutdown: &Shutdown,
        tracker: &TaskTracker,
    ) {
        let protocols = Arc::new(Protocols::new(options));
        let slots = Arc::new(Semaphore::new(options.max_connections as usize));
        let open = metrics::gauge!("http_connections");
        loop {
            // A slot first: when all are taken, new connections wait in the kernel's queue.
            let accepted = tokio::select! {
                () = shutdown.stopping() => return,
                slot = slots.clone().acquire_owned() => match slot {
                    Ok(slot) => tokio::select! {
                        () = shutdown.stopping() => return,
                        accepted = self.next() => (slot, accepted),
                    },
                    Err(_) => return,
                },
            };
            let (slot, (stream, peer)) = accepted;
            let connection = protocols.clone().serve(stream, peer, harness.clone(), shutdown.clone());
            let open = open.clone();
            tracker.spawn(async move {
                open.increment(1.0);
                let _counted = Counted(open);
                connection.await;
                drop(slot);
            });
        }
    }

    /// The next connection. Survives a lack of file descriptors, which ends when other connections do.
    async fn next(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.socket.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if is_about_one_connection(&error) => {
                    tracing::debug!(%error, "a connection ended before it was accepted");
                }
                Err(error) => {
                    metrics::counter!("http_accept_errors_total").increment(1);
                    tracing::error!(%error, "accepting connections failed; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Takes a connection off the gauge, also when its task panics.
struct Counted(metrics::Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
