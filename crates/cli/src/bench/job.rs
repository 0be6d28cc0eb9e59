//! One kind of request, sent by many clients on several threads until the time is over.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::payload::{Payload, Random};
use super::stats::Measured;
use crate::client::Client;

/// Of how many downloads one is compared byte by byte; lengths are always.
const VERIFY_EVERY: u64 = 64;
/// Request bodies up to this size go out in one write with their head.
const ONE_WRITE: usize = 64 * 1024;
/// How much of an error's body is kept to tell its code.
const ERROR_TEXT: usize = 2048;

/// What every client does over and over.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    /// Stores objects; after `keys` of them it starts over, overwriting.
    Put { keys: u64 },
    /// Stores the objects `from..to`, once.
    Fill { from: u64, to: u64 },
    /// Reads one of the first `objects` at random.
    Get { objects: u64 },
    /// Lists one of the first `folders` at random.
    List { folders: u64, limit: u64 },
    /// Signs a URL for one of the first `objects` at random.
    Sign { objects: u64 },
}

/// The parts of a request that stay the same.
#[derive(Debug)]
pub(super) struct Target {
    prefix: String,
    bucket: String,
    /// Where objects lie, without a slash at the end.
    objects: String,
    headers: String,
}

impl Target {
    pub(super) fn new(client: &Client, bucket: &str) -> Self {
        let base = client.base();
        let mut headers = host_header(base);
        if let Some(token) = client.token() {
            headers.push_str(&format!("Authorization: Bearer {}\r\n", token.reveal()));
        }
        let prefix = format!("{}/storage/v1", base.path().trim_end_matches('/'));
        let objects = format!("{prefix}/object/{bucket}");
        Self { prefix, bucket: bucket.to_owned(), objects, headers }
    }

    /// A server of files that knows neither buckets nor tokens: the yardstick.
    pub(super) fn plain(base: &reqwest::Url) -> Self {
        let objects = base.path().trim_end_matches('/').to_owned();
        Self { prefix: String::new(), bucket: String::new(), objects, headers: host_header(base) }
    }
}

fn host_header(base: &reqwest::Url) -> String {
    let host = base.host_str().unwrap_or_default();
    let port = base.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("Host: {host}{port}\r\n")
}

/// A measurement in the making.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) address: SocketAddr,
    pub(super) target: Target,
    pub(super) payload: Arc<Payload>,
    pub(super) work: Work,
    pub(super) per_folder: u64,
    /// Warm-up and duration; none for work that has an end of its own.
    pub(super) time: Option<(Duration, Duration)>,
    pub(super) cancel: CancellationToken,
    /// The next object to store.
    pub(super) next: AtomicU64,
}

impl Job {
    /// Runs `concurrency` clients on `threads` threads. Blocks until they are done.
    pub(super) fn run(self, concurrency: usize, threads: usize) -> anyhow::Result<Measured> {
        let job = Arc::new(self);
        let begun = Instant::now();
        let handles: Vec<_> = (0..threads)
            .map(|thread| {
                let job = job.clone();
                let clients = (thread..concurrency).step_by(threads);
                std::thread::Builder::new()
                    .name(format!("bench-{thread}"))
                    .spawn(move || job.thread(begun, clients))
            })
            .collect::<io::Result<_>>()?;
        let mut all = Measured::new()?;
        for handle in handles {
            all.merge(handle.join().map_err(|_| anyhow::anyhow!("a thread of the benchmark died"))??)?;
        }
        Ok(all)
    }

    /// One thread's clients, on a runtime of its own: no task ever moves to another thread.
    fn thread(
        self: Arc<Self>,
        begun: Instant,
        clients: impl Iterator<Item = usize>,
    ) -> anyhow::Result<Measured> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut running = JoinSet::new();
            for client in clients {
                running.spawn(self.clone().client(begun, client as u64));
            }
            let mut all = Measured::new()?;
            while let Some(done) = running.join_next().await {
                all.merge(done??)?;
            }
            Ok(all)
        })
    }

    async fn client(self: Arc<Self>, begun: Instant, number: u64) -> anyhow::Result<Measured> {
        let mut measured = Measured::new()?;
        tokio::select! {
            biased;
            () = self.repeat(begun, number, &mut measured) => {}
            () = self.cancel.cancelled() => {}
        }
        let counted = begun.elapsed().saturating_sub(self.time.map_or(Duration::ZERO, |(warmup, _)| warmup));
        measured.lasted(counted);
        Ok(measured)
    }

    async fn repeat(&self, begun: Instant, number: u64, measured: &mut Measured) {
        let mut random = Random::new(number + 1);
        let mut scratch = Vec::with_capacity(ONE_WRITE + 1024);
        let mut connection = None;
        let (warm, end) =
            self.time.map_or((Duration::ZERO, Duration::MAX), |(warm, rest)| (warm, warm + rest));
        loop {
            let index = match self.work {
                Work::Put { keys } => self.next.fetch_add(1, Ordering::Relaxed) % keys,
                Work::Fill { from, to } => match from + self.next.fetch_add(1, Ordering::Relaxed) {
                    index if index < to => index,
                    _ => return,
                },
                Work::Get { objects } | Work::Sign { objects } => random.below(objects),
                Work::List { folders, .. } => random.below(folders),
            };
            let start = Instant::now();
            if start.duration_since(begun) >= end {
                return;
            }
            measured.start();
            let counts = start.duration_since(begun) >= warm;
            let verify = matches!(self.work, Work::Get { .. }) && random.below(VERIFY_EVERY) == 0;
            match self.exchange(&mut connection, index, verify, &mut scratch).await {
                Ok(bytes) if counts => measured.succeed(start.elapsed(), bytes, verify),
                Ok(_) => {}
                Err(kind) => {
                    measured.fail(kind);
                    // A server that is gone would otherwise be asked as fast as the machine can.
                    if connection.is_none() {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
        }
    }

    /// Sends one request and reads its answer; an error is told by its kind.
    async fn exchange(
        &self,
        slot: &mut Option<Connection>,
        index: u64,
        verify: bool,
        scratch: &mut Vec<u8>,
    ) -> Result<u64, String> {
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => Connection::open(self.address).await.map_err(|error| format!("connect: {error}"))?,
        };
        let broken = |error: io::Error| format!("connection: {error}");
        let sent = self.send(&mut connection, index, scratch).await;
        // A server that refuses early stops reading; what it said is worth more than our broken pipe.
        let (head, usable) = match (connection.read_head().await, sent) {
            (Ok(head), Ok(())) => (head, head.keep_alive),
            (Ok(head), Err(_)) => (head, false),
            (Err(_), Err(error)) | (Err(error), Ok(())) => return Err(broken(error)),
        };
        let success = matches!(head.status, 200 | 201 | 204);
        let (mut offset, mut intact, mut text) = (0, true, Vec::new());
        let received = connection.read_body(head, |piece| {
            if !success {
                let room = ERROR_TEXT.saturating_sub(text.len());
                text.extend_from_slice(piece.get(..room).unwrap_or(piece));
            } else if verify {
                intact &= self.payload.matches(index, offset, piece);
                offset += piece.len() as u64;
            }
        });
        let received = received.await.map_err(broken)?;
        if usable {
            *slot = Some(connection);
        }
        match self.work {
            _ if !success => Err(describe(head.status, &text)),
            Work::Get { .. } if received != self.payload.size() => Err("wrong length".to_owned()),
            Work::Get { .. } if !intact => Err("wrong bytes".to_owned()),
            Work::Get { .. } | Work::List { .. } | Work::Sign { .. } => Ok(received),
            Work::Put { .. } | Work::Fill { .. } => Ok(self.payload.size()),
        }
    }

    async fn send(&self, connection: &mut Connection, index: u64, scratch: &mut Vec<u8>) -> io::Result<()> {
        use std::io::Write as _;
        let Target { prefix, bucket, objects, headers } = &self.target;
        let size = self.payload.size();
        scratch.clear();
        match self.work {
            Work::Put { .. } | Work::Fill { .. } => {
                let path = self.path(index);
                write!(
                    scratch,
                    "PUT {objects}/{path} HTTP/1.1\r\n{headers}\
                     Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
                )?;
                let mut offset = 0;
                while offset < size {
                    let run = self.payload.run(index, offset, ONE_WRITE);
                    offset += run.len() as u64;
                    if scratch.len() + run.len() <= ONE_WRITE {
                        scratch.extend_from_slice(run);
                    } else {
                        if !scratch.is_empty() {
                            connection.write(scratch).await?;
                            scratch.clear();
                        }
                        connection.write(run).await?;
                    }
                }
            }
            Work::Get { .. } => {
                let path = self.path(index);
                write!(scratch, "GET {objects}/{path} HTTP/1.1\r\n{headers}\r\n")?;
            }
            Work::Sign { .. } => {
                let (path, body) = (self.path(index), r#"{"expiresIn":3600}"#);
                write!(
                    scratch,
                    "POST {prefix}/object/sign/{bucket}/{path} HTTP/1.1\r\n{headers}\
                     Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )?;
            }
            Work::List { limit, .. } => {
                let body =
                    format!(r#"{{"prefix":"{size}/{index:06}/","limit":{limit},"with_delimiter":true}}"#);
                write!(
                    scratch,
                    "POST {prefix}/object/list-v2/{bucket} HTTP/1.1\r\n{headers}\
                     Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )?;
            }
        }
        if scratch.is_empty() { Ok(()) } else { connection.write(scratch).await }
    }

    /// `SIZE/FOLDER/NUMBER`: folders of as many objects as one list shows.
    fn path(&self, index: u64) -> String {
        format!("{}/{:06}/{index:09}", self.payload.size(), index / self.per_folder)
    }
}

/// The status and the server's code, if it told one.
fn describe(status: u16, body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    match body.get("code").and_then(serde_json::Value::as_str) {
        Some(code) => format!("{status} {code}"),
        None => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn errors_are_told_by_status_and_code() {
        assert_eq!(describe(503, br#"{"code":"OVERLOADED"}"#), "503 OVERLOADED");
        assert_eq!(describe(502, b"<html>"), "502");
    }
}
