//! A server, the database beside it, a place for backups, and the commands that an operator runs there.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::database::TestDatabase;

pub(crate) fn aerostore(data_dir: &Path, database: Option<&TestDatabase>, arguments: &[&str]) -> Command {
    let mut process = Command::new(env!("CARGO_BIN_EXE_aerostore"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AEROSTORE_"))
    {
        process.env_remove(name);
    }
    process.args(arguments).arg("--data-dir").arg(data_dir).stdin(Stdio::null());
    process.env("AEROSTORE_POSTGRES_DELETION_GRACE", "0s").env("AEROSTORE_CLEANUP_GRACE", "1s");
    process.env("AEROSTORE_SCRUB_RATE", "0");
    process.envs(database.map(|database| ("AEROSTORE_DATABASE", database.url())));
    process
}

/// What a command said, and whether it succeeded.
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) out: Value,
    err: String,
}

impl Said {
    pub(crate) fn of(mut command: Command) -> Self {
        let output = command.arg("--json").output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        let out = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        Self { ok: output.status.success(), out, err }
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(self.ok, "{}", self.err);
        self.out
    }

    #[track_caller]
    pub(crate) fn fails(self, words: &str) {
        assert!(!self.ok && self.err.contains(words), "`{words}` is not in: {}{}", self.out, self.err);
    }
}

/// A directory of data, the database beside it, and a place for backups.
pub(crate) struct Scene {
    dir: tempfile::TempDir,
    pub(crate) database: Option<TestDatabase>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), database: TestDatabase::if_asked_for() }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn serve(&self) -> Server {
        Server::start(&self.at("data"), self.database.as_ref())
    }

    /// Backs up into `backup`.
    pub(crate) fn create(&self, more: &[&str], points: &str) -> Said {
        let to = self.at("backup");
        let arguments = [&["backup", "create", "--to", to.to_str().unwrap()], more].concat();
        let mut command = aerostore(&self.at("data"), self.database.as_ref(), &arguments);
        command.env("AEROSTORE_FAILPOINTS", points);
        Said::of(command)
    }

    pub(crate) fn verify(&self) -> Said {
        let from = self.at("backup");
        Said::of(aerostore(&self.at("none"), None, &["backup", "verify", from.to_str().unwrap()]))
    }

    pub(crate) fn restore(&self, name: &str, database: Option<&TestDatabase>, points: &str) -> Said {
        let mut command = self.restoring(name, database, &[]);
        command.env("AEROSTORE_FAILPOINTS", points);
        Said::of(command)
    }

    /// Restores what can be.
    pub(crate) fn restore_the_rest(&self, name: &str) -> Said {
        Said::of(self.restoring(name, None, &["--despite-losses"]))
    }

    fn restoring(&self, name: &str, database: Option<&TestDatabase>, more: &[&str]) -> Command {
        let from = self.at("backup");
        let arguments = [&["backup", "restore", from.to_str().unwrap()], more].concat();
        aerostore(&self.at(name), database, &arguments)
    }

    /// Some blob in a directory of data or of a backup.
    pub(crate) fn blob(&self, name: &str) -> PathBuf {
        files(&self.at(name).join("blobs")).pop().expect("there is a blob")
    }
}

pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

pub(crate) struct Server {
    child: Child,
    url: String,
    pub(crate) service: String,
    client: Client,
}

impl Server {
    pub(crate) fn start(data_dir: &Path, database: Option<&TestDatabase>) -> Self {
        let mut child = aerostore(data_dir, database, &["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .find_map(|line| line.unwrap().split_once("ready on ").map(|(_, url)| url.trim().to_owned()))
            .expect("the server is ready");
        std::thread::spawn(move || lines.for_each(drop));
        let keys = Said::of(aerostore(data_dir, None, &["keys"])).ok();
        let service = keys["service_key"].as_str().unwrap().to_owned();
        Self { child, url, service, client: Client::builder().no_proxy().build().unwrap() }
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> (StatusCode, Vec<u8>) {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if path.ends_with("/bucket") || path.ends_with("/webhooks") || path.ends_with("/scrub") {
            request = request.header("content-type", "application/json");
        }
        let answer = request.bearer_auth(&self.service).body(body).send().await.unwrap();
        (answer.status(), answer.bytes().await.unwrap().to_vec())
    }

    pub(crate) async fn bucket(&self, name: &str) {
        let body = json!({ "name": name, "policy": "private" }).to_string().into_bytes();
        let (status, said) = self.send(Method::POST, "/storage/v1/bucket", body).await;
        assert!(status.is_success(), "{status} {}", String::from_utf8_lossy(&said));
    }

    pub(crate) async fn put(&self, path: &str, body: Vec<u8>) {
        let (status, said) = self.send(Method::PUT, &format!("/storage/v1/object/docs/{path}"), body).await;
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&said));
    }

    pub(crate) async fn delete(&self, path: &str) {
        let (status, said) =
            self.send(Method::DELETE, &format!("/storage/v1/object/docs/{path}"), Vec::new()).await;
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&said));
    }

    /// The bytes of an object; `None` where there is none.
    pub(crate) async fn get(&self, path: &str) -> Option<Vec<u8>> {
        match self.send(Method::GET, &format!("/storage/v1/object/docs/{path}"), Vec::new()).await {
            (StatusCode::OK, bytes) => Some(bytes),
            (StatusCode::NOT_FOUND, _) => None,
            (status, said) => panic!("{path}: {status} {}", String::from_utf8_lossy(&said)),
        }
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let (status, said) = self.send(Method::GET, path, Vec::new()).await;
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&said));
        serde_json::from_slice(&said).unwrap()
    }

    /// A webhook that nobody is told by, and which stands where events do.
    pub(crate) async fn webhook(&self) -> Value {
        let body = json!({ "url": "https://example.org/hook", "enabled": false }).to_string().into_bytes();
        let (status, said) = self.send(Method::POST, "/api/v1/storage/webhooks", body).await;
        assert_eq!(status, StatusCode::CREATED, "{}", String::from_utf8_lossy(&said));
        serde_json::from_slice(&said).unwrap()
    }

    /// The first that a stream of events tells which goes on after this one.
    pub(crate) async fn told_after(&self, last: u64) -> String {
        let url = format!("{}/storage/v1/events?last_event_id={last}", self.url);
        let mut answer = self.client.get(url).bearer_auth(&self.service).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let mut told = String::new();
        while !(told.contains("event: ") && told.ends_with("\n\n")) {
            let more = tokio::time::timeout(Duration::from_secs(30), answer.chunk()).await;
            let more = more.expect("the stream says nothing").unwrap().expect("the stream goes on");
            told.push_str(std::str::from_utf8(&more).unwrap());
        }
        told
    }

    /// Counters equal a recount, every row has its bytes, and there are no others.
    pub(crate) async fn audit(&self) {
        let recount = self.json("/api/v1/storage/usage?recalculate=true").await;
        assert_eq!(recount["differences"], json!([]), "{recount}");
        let found = self.json("/api/v1/storage/cleanup").await;
        for name in ["orphan_blobs", "missing_blobs", "damaged_blobs", "pending_deletions"] {
            assert_eq!(found[name], json!(0), "{found}");
        }
        assert_eq!(found["halted"], Value::Null, "{found}");
    }

    /// All bytes that are kept are those that were stored.
    pub(crate) async fn scrub(&self) {
        let (status, said) = self.send(Method::POST, "/api/v1/storage/scrub", b"{}".to_vec()).await;
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(status, StatusCode::ACCEPTED, "{said}");
        let asked: Value = serde_json::from_str(&said).unwrap();
        let path = format!("/api/v1/storage/jobs/{}", asked["id"].as_str().unwrap());
        for _ in 0..1200 {
            let job = self.json(&path).await;
            if job["completed_at"] != Value::Null {
                assert_eq!((&job["status"], &job["failures"]), (&json!("completed"), &json!(0)), "{job}");
                assert_eq!(
                    (&job["report"]["findings"], &job["done"]),
                    (&Value::Null, &job["total"]),
                    "{job}"
                );
                assert!(job["done"].as_u64() > Some(0), "it read something: {job}");
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the scrub never ends");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
