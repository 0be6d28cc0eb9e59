//! The real binary under concurrent load, killed with SIGKILL at random moments and started again.
//!
//! After each start everything acknowledged is there byte for byte, nothing half-written is visible; in the end no
//! orphan survives and the counters equal a recount. `AEROSTORE_CRASH_ROUNDS` sets the number of kills;
//! `AEROSTORE_TEST_ENGINE=postgres` has the metadata in PostgreSQL, which lives on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests, whose helpers lie outside of test functions"
)]

mod batches;
#[allow(dead_code, reason = "shared with other suites, each of which uses a part of it")]
#[path = "../../../file-storage/tests/support/database.rs"]
mod database;
mod joins;
mod lifecycle;
mod uploads;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use batches::Batched;
use database::TestDatabase;
use joins::Joined;
use uploads::{Sent, tus};

const WRITERS: u64 = 8;
const KEYS_PER_WRITER: u64 = 6;
const SENDERS: u64 = 4;
const JOINERS: u64 = 2;
const BATCHERS: u64 = 2;

/// Blobs go in the ordinary way while the orphan job is between two looks at them.
const SLOW_CLEANUP: Option<(&str, &str)> = if cfg!(feature = "failpoints") {
    Some(("AEROSTORE_FAILPOINTS", "orphans.listed=delay(100ms);orphans.rows_read=delay(20ms)"))
} else {
    None
};

/// A running server.
struct Server {
    child: Child,
    url: String,
    token: String,
}

impl Server {
    fn start(data_dir: &Path, database: Option<&TestDatabase>) -> Self {
        let mut child = aerostore(data_dir, "serve")
            .args(["--listen", "127.0.0.1:0"])
            .env("AEROSTORE_CLEANUP_GRACE", "1s")
            .env("AEROSTORE_LOG_LEVEL", "warn")
            .env("AEROSTORE_LIFECYCLE_MAX_PER_RUN", "10000000")
            .env("AEROSTORE_POSTGRES_DELETION_GRACE", "0s")
            .envs(SLOW_CLEANUP)
            .envs(database.map(|database| ("AEROSTORE_DATABASE", database.url())))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.find_map(|line| {
            let line = line.unwrap();
            line.split_once("ready on ").map(|(_, url)| url.trim().to_owned())
        });
        // Whatever it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let keys = aerostore(data_dir, "keys").arg("--json").output().unwrap();
        let keys: Value = serde_json::from_slice(&keys.stdout).unwrap();
        let token = keys["service_key"].as_str().unwrap().to_owned();
        Self { child, url: ready.expect("the server says that it is ready"), token }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> reqwest::Result<reqwest::Response> {
        let url = format!("{}{path}", self.url);
        let mut request = Client::new().request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.body(body);
        }
        request.send().await
    }

    async fn json(&self, method: Method, path: &str) -> Value {
        let answer = self.send(method, path, None).await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn aerostore(data_dir: &Path, command: &str) -> Command {
    let mut process = Command::new(env!("CARGO_BIN_EXE_aerostore"));
    // What a developer has set for another server, and this test's own variable.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AEROSTORE_"))
    {
        process.env_remove(name);
    }
    process.arg(command).arg("--data-dir").arg(data_dir);
    process
}

/// A small random number generator, so that a failing run can be told by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What one key must hold: what was acknowledged last, or what was under way when the server died.
#[derive(Clone, Default)]
struct Expectation {
    acknowledged: Option<Vec<u8>>,
    under_way: Option<Option<Vec<u8>>>,
}

impl Expectation {
    fn allows(&self, found: &Option<Vec<u8>>) -> bool {
        *found == self.acknowledged || self.under_way.as_ref() == Some(found)
    }
}

type State = HashMap<String, Expectation>;

/// A body that says whose it is; below and above the size of inline objects.
fn body(key: &str, number: u64, random: &mut Random) -> Vec<u8> {
    let size = [20, 3_000, 17_000, 200_000, 1_500_000][random.below(5) as usize];
    format!("{key}#{number};").into_bytes().into_iter().cycle().take(size).collect()
}

/// Writes, overwrites and deletes its own keys until the server is gone. Gives back what it knows.
async fn write(
    server: Arc<(String, String)>,
    writer: u64,
    mut state: State,
    seed: u64,
    counter: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> State {
    let client = Client::new();
    let mut random = Random(seed | 1);
    while !stop.load(Ordering::Relaxed) {
        let key = format!("w{writer}/k{}", random.below(KEYS_PER_WRITER));
        let url = format!("{}/storage/v1/object/crash/{key}", server.0);
        let expectation = state.entry(key.clone()).or_default();
        let next =
            (random.below(4) > 0).then(|| body(&key, counter.fetch_add(1, Ordering::Relaxed), &mut random));
        expectation.under_way = Some(next.clone());
        let request = match &next {
            Some(bytes) => client.put(url).body(bytes.clone()),
            None => client.delete(url),
        };
        match request.bearer_auth(&server.1).send().await {
            Ok(answer) if answer.status().is_success() => {
                *expectation = Expectation { acknowledged: next, under_way: None };
            }
            Ok(answer) => panic!("{key}: {} {:?}", answer.status(), answer.text().await),
            Err(_) => return state,
        }
    }
    state
}

async fn verify(server: &Server, state: &mut State) {
    for (key, expectation) in state {
        let answer =
            server.send(Method::GET, &format!("/storage/v1/object/crash/{key}"), None).await.unwrap();
        let found = match answer.status() {
            StatusCode::OK => Some(answer.bytes().await.unwrap().to_vec()),
            StatusCode::NOT_FOUND => None,
            status => panic!("{key}: {status}"),
        };
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(Vec::len);
        assert!(
            expectation.allows(&found),
            "{key}: found {:?} bytes, acknowledged {:?}, under way {:?}",
            length(&found),
            length(&expectation.acknowledged),
            expectation.under_way.as_ref().map(length),
        );
        *expectation = Expectation { acknowledged: found, under_way: None };
    }
}

fn blobs_on_disk(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { blobs_on_disk(&entry.path()) } else { 1 }).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_sigkill() {
    let rounds =
        std::env::var("AEROSTORE_CRASH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(20);
    let seed =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    eprintln!("crash test: {rounds} rounds, seed {seed}");
    let mut random = Random(seed);
    let dir = tempfile::tempdir().unwrap();
    let counter = Arc::new(AtomicU64::new(0));
    let mut states: Vec<State> = vec![State::new(); WRITERS as usize];
    let mut senders: Vec<Sent> = vec![Sent::default(); SENDERS as usize];
    let mut joiners: Vec<Joined> = vec![Joined::default(); JOINERS as usize];
    let mut batchers: Vec<Batched> = vec![Batched::default(); BATCHERS as usize];

    let database = TestDatabase::if_asked_for();
    let mut server = Server::start(dir.path(), database.as_ref());
    let bucket = json!({ "name": "crash" }).to_string().into_bytes();
    let client = Client::new();
    let created = client
        .post(format!("{}/storage/v1/bucket", server.url))
        .bearer_auth(&server.token)
        .header("content-type", "application/json")
        .body(bucket);
    assert!(created.send().await.unwrap().status().is_success());

    for round in 0..rounds {
        let stop = Arc::new(AtomicBool::new(false));
        let to = Arc::new((server.url.clone(), server.token.clone()));
        let writers: Vec<_> = states
            .drain(..)
            .enumerate()
            .map(|(writer, state)| {
                let seed = random.below(u64::MAX);
                tokio::spawn(write(to.clone(), writer as u64, state, seed, counter.clone(), stop.clone()))
            })
            .collect();
        let sending: Vec<_> = senders
            .drain(..)
            .enumerate()
            .map(|(sender, sent)| {
                let seed = random.below(u64::MAX);
                tokio::spawn(uploads::resume(
                    to.clone(),
                    sender as u64,
                    sent,
                    seed,
                    counter.clone(),
                    stop.clone(),
                ))
            })
            .collect();
        let joining: Vec<_> = joiners
            .drain(..)
            .enumerate()
            .map(|(joiner, joined)| {
                let seed = random.below(u64::MAX);
                tokio::spawn(joins::join(
                    to.clone(),
                    joiner as u64,
                    joined,
                    seed,
                    counter.clone(),
                    stop.clone(),
                ))
            })
            .collect();
        let batching: Vec<_> = batchers
            .drain(..)
            .enumerate()
            .map(|(batcher, batched)| {
                let seed = random.below(u64::MAX);
                tokio::spawn(batches::send(
                    to.clone(),
                    batcher as u64,
                    batched,
                    seed,
                    counter.clone(),
                    stop.clone(),
                ))
            })
            .collect();
        // Now and then long enough for what takes longer, as all of it is under way at once.
        let longest = if round % 4 == 3 { 2000 } else { 400 };
        tokio::time::sleep(Duration::from_millis(30 + random.below(longest))).await;
        server.kill();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            states.push(writer.await.unwrap());
        }
        for sender in sending {
            senders.push(sender.await.unwrap());
        }
        for joiner in joining {
            joiners.push(joiner.await.unwrap());
        }
        for batcher in batching {
            batchers.push(batcher.await.unwrap());
        }
        server = Server::start(dir.path(), database.as_ref());
        for state in &mut states {
            verify(&server, state).await;
        }
        for sent in &mut senders {
            uploads::verify_upload(&server, sent).await;
            verify(&server, &mut sent.state).await;
        }
        for joined in &mut joiners {
            joins::verify_joined(&server, joined).await;
        }
        for (batcher, batched) in (0..).zip(&mut batchers) {
            batches::verify(&server, batcher, batched).await;
        }
    }

    let seen: Vec<_> = batchers.iter().map(|batched| &batched.seen).collect();
    eprintln!("batches: {seen:?}");
    assert!(rounds < 20 || seen.iter().any(|seen| seen.acknowledged > 0), "{seen:?}");
    // What came by TUS has as many blobs as runs: it goes, so that what is left can be counted, and so do the batches.
    let came = senders.iter().map(|sent| &sent.state).chain(joiners.iter().map(|joined| &joined.state));
    for key in came.flat_map(State::keys).cloned().chain(batches::keys(BATCHERS)) {
        server.send(Method::DELETE, &format!("/storage/v1/object/crash/{key}"), None).await.unwrap();
    }
    let unfinished = senders.iter().filter_map(|sent| sent.upload.as_ref().map(|upload| &upload.place));
    for place in unfinished {
        let to = (server.url.clone(), server.token.clone());
        let gone = tus(&Client::new(), &to, "DELETE", place).send().await.unwrap();
        assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    }
    let usage = server.json(Method::GET, "/api/v1/storage/usage?recalculate=true").await;
    assert_eq!(usage["differences"], json!([]), "{usage}");
    let mut orphans = 0;
    let report = loop {
        let report = server.json(Method::POST, "/api/v1/storage/cleanup").await;
        orphans += report["orphan_blobs"].as_u64().unwrap();
        if report["pending_deletions"] == 0 {
            break report;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!((&report["missing_blobs"], &report["halted"]), (&json!(0), &Value::Null), "{report}");
    assert_eq!(orphans, 0, "start-up checks leave no orphan");
    let large = states.iter().flat_map(State::values);
    let large =
        large.filter(|it| it.acknowledged.as_ref().is_some_and(|bytes| bytes.len() > 16 * 1024)).count();
    let blobs = blobs_on_disk(&dir.path().join("blobs"));
    assert_eq!(blobs, large as u64, "blobs on the disk, and large objects");
}
