//! Large files and many of them at once: whole, and in flat memory.
//!
//! One gigabyte by default, as one file and as 16; `AEROSTORE_LARGE=5GB` for what SPEC 11 asks for, as one and as 64.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests, whose helpers lie outside of test functions"
)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use bytes::Bytes;
use futures_util::{StreamExt, future, stream};
use reqwest::{Body, Client, Method, RequestBuilder};
use server::config::{ByteSize, RawValue, Setting};

/// What the server may take at most.
const MOST_MEMORY: u64 = 256 << 20;

/// How much more than in the first half it may take in the second: what an allocator does, and no leak.
const SLACK: u64 = 24 << 20;

/// Transfers at once.
fn concurrent() -> u64 {
    if std::env::var_os("AEROSTORE_LARGE").is_some() { 64 } else { 16 }
}

const CHUNK: usize = 256 << 10;

/// Bytes to move in each direction.
fn volume() -> u64 {
    let asked = std::env::var("AEROSTORE_LARGE").unwrap_or_else(|_| "1GB".to_owned());
    ByteSize::parse(&RawValue::One(asked)).unwrap().0
}

/// A server, and its memory: looked at all the time, by phases.
struct Server {
    child: Child,
    _folder: tempfile::TempDir,
    url: String,
    token: String,
    client: Client,
    phase: Arc<AtomicUsize>,
    peaks: Arc<Mutex<Vec<u64>>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    fn start(phases: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = aerostore(&folder, "serve")
            .args(["--listen", "127.0.0.1:0", "--log-level", "warn"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.find_map(|line| Some(line.unwrap().split_once("ready on ")?.1.trim().to_owned()));
        std::thread::spawn(move || lines.for_each(drop));
        let keys = aerostore(&folder, "keys").arg("--json").output().unwrap();
        let keys: serde_json::Value = serde_json::from_slice(&keys.stdout).unwrap();
        let token = keys.get("service_key").unwrap().as_str().unwrap().to_owned();
        let (phase, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let peaks = Arc::new(Mutex::new(vec![0; phases]));
        let (pid, now, seen, ended) = (child.id(), phase.clone(), peaks.clone(), stop.clone());
        std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let memory = memory(pid, "VmRSS:");
                if let Some(peak) = seen.lock().unwrap().get_mut(now.load(Ordering::Relaxed)) {
                    *peak = memory.max(*peak);
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let client = Client::builder().no_proxy().build().unwrap();
        let url = ready.expect("the server is ready");
        Self { child, _folder: folder, url, token, client, phase, peaks, stop }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}/storage/v1{path}", self.url)).bearer_auth(&self.token)
    }

    async fn create_bucket(&self) {
        let request = self.request(Method::POST, "/bucket").json(&serde_json::json!({ "name": "box" }));
        assert_eq!(request.send().await.unwrap().status(), 201);
    }

    /// Uploads a generated stream; gives its digest. The first half counts for `phase`, the second for the next.
    async fn upload(&self, name: &str, size: u64, phase: Option<usize>) -> Vec<u8> {
        let digest = Arc::new(Mutex::new(digest::Context::new(&digest::SHA256)));
        let (hashed, now) = (digest.clone(), self.phase.clone());
        let chunks = generated(name, size).map(move |(offset, chunk)| {
            hashed.lock().unwrap().update(&chunk);
            if let Some(phase) = phase {
                now.store(phase + usize::from(offset >= size / 2), Ordering::Relaxed);
            }
            Ok::<_, std::io::Error>(chunk)
        });
        let request = self.request(Method::PUT, &format!("/object/box/{name}"));
        let answer =
            request.header("content-length", size).body(Body::wrap_stream(chunks)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{name}");
        let digest = digest.lock().unwrap().clone();
        digest.finish().as_ref().to_vec()
    }

    /// Downloads it again; gives length and digest of what came.
    async fn download(&self, name: &str, size: u64, phase: Option<usize>) -> (u64, Vec<u8>) {
        let answer = self.request(Method::GET, &format!("/object/box/{name}")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{name}");
        let mut chunks = answer.bytes_stream();
        let (mut length, mut digest) = (0, digest::Context::new(&digest::SHA256));
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.unwrap();
            digest.update(&chunk);
            length += chunk.len() as u64;
            if let Some(phase) = phase {
                self.phase.store(phase + usize::from(length >= size / 2), Ordering::Relaxed);
            }
        }
        (length, digest.finish().as_ref().to_vec())
    }

    /// The most memory of each phase; the most of all, as the kernel has counted it, must be bounded.
    fn peaks(&self) -> Vec<u64> {
        let most = memory(self.child.id(), "VmHWM:");
        assert!(most < MOST_MEMORY, "{} MiB of memory at the peak", most >> 20);
        self.peaks.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn aerostore(folder: &tempfile::TempDir, command: &str) -> Command {
    let mut process = Command::new(env!("CARGO_BIN_EXE_aerostore"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AEROSTORE_"))
    {
        process.env_remove(name);
    }
    process.arg(command).arg("--data-dir").arg(folder.path());
    process
}

/// A line of `/proc/PID/status`, in bytes.
fn memory(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB")?.parse().ok());
    kib.map_or(0, |kib: u64| kib << 10)
}

/// Chunks with their offsets, made when they are asked for. No two are alike: a chunk in the wrong place shows.
fn generated(name: &str, size: u64) -> impl stream::Stream<Item = (u64, Bytes)> + use<> {
    let mut state = digest::digest(&digest::SHA256, name.as_bytes())
        .as_ref()
        .iter()
        .fold(1_u64, |state, byte| state.wrapping_mul(0x100_0000_01B3) ^ u64::from(*byte));
    let mut block = Vec::with_capacity(CHUNK);
    while block.len() < CHUNK {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_le_bytes());
    }
    stream::iter((0..size.div_ceil(CHUNK as u64)).map(move |number| {
        let offset = number * CHUNK as u64;
        let length = usize::try_from(size - offset).map_or(CHUNK, |left| left.min(CHUNK));
        let mut chunk = block.get(..length).unwrap().to_vec();
        chunk.iter_mut().zip(offset.to_le_bytes()).for_each(|(byte, mark)| *byte ^= mark);
        (offset, Bytes::from(chunk))
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_goes_up_and_down_in_flat_memory() {
    let (server, size) = (Server::start(4), volume());
    server.create_bucket().await;
    let started = Instant::now();
    let sent = server.upload("large", size, Some(0)).await;
    let up = started.elapsed();
    let (length, received) = server.download("large", size, Some(2)).await;
    assert_eq!(length, size);
    assert_eq!(sent, received, "what came back is not what was sent");
    let peaks = server.peaks();
    eprintln!("{size} bytes up in {up:?}, down in {:?}; memory {peaks:?}", started.elapsed() - up);
    for (what, halves) in ["up", "down"].iter().zip(peaks.chunks(2)) {
        let (first, second) = (halves.first().unwrap(), halves.last().unwrap());
        assert!(*second <= first + SLACK, "memory grows on the way {what}: {peaks:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_transfers_at_once_take_bounded_memory() {
    let (server, transfers) = (Server::start(2), concurrent());
    let size = volume() / transfers;
    server.create_bucket().await;
    let started = Instant::now();
    let names: Vec<String> = (0..transfers).map(|number| format!("many/{number}")).collect();
    let sent = future::join_all(names.iter().map(|name| server.upload(name, size, None))).await;
    let up = started.elapsed();
    server.phase.store(1, Ordering::Relaxed);
    let received = future::join_all(names.iter().map(|name| server.download(name, size, None))).await;
    for (name, (sent, (length, received))) in names.iter().zip(sent.iter().zip(&received)) {
        assert!(*length == size && sent == received, "{name}: {length} of {size} bytes, or others");
    }
    let peaks = server.peaks();
    eprintln!(
        "{transfers} of {size} bytes up in {up:?}, down in {:?}; memory {peaks:?}",
        started.elapsed() - up
    );
}
