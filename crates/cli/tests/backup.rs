//! `aerostore backup` as an operator uses it: beside a server under load, killed half-way, damaged, and restored elsewhere,
//! also to the other engine. `AEROSTORE_TEST_ENGINE=postgres` has the server's metadata in PostgreSQL.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests, whose helpers lie outside of test functions"
)]

#[allow(dead_code, reason = "shared with other suites, each of which uses a part of it")]
#[path = "../../file-storage/tests/support/database.rs"]
mod database;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use database::TestDatabase;

const WRITERS: usize = 4;
const KEYS: usize = 6;

fn aerostore(data_dir: &Path, database: Option<&TestDatabase>, arguments: &[&str]) -> Command {
    let mut process = Command::new(env!("CARGO_BIN_EXE_aerostore"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AEROSTORE_"))
    {
        process.env_remove(name);
    }
    process.args(arguments).arg("--data-dir").arg(data_dir).stdin(Stdio::null());
    process.env("AEROSTORE_POSTGRES_DELETION_GRACE", "0s").env("AEROSTORE_CLEANUP_GRACE", "1s");
    process.envs(database.map(|database| ("AEROSTORE_DATABASE", database.url())));
    process
}

/// What a command said, and whether it succeeded.
struct Said {
    ok: bool,
    out: Value,
    err: String,
}

impl Said {
    fn of(mut command: Command) -> Self {
        let output = command.arg("--json").output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        let out = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        Self { ok: output.status.success(), out, err }
    }

    #[track_caller]
    fn ok(self) -> Value {
        assert!(self.ok, "{}", self.err);
        self.out
    }

    #[track_caller]
    fn fails(self, words: &str) {
        assert!(!self.ok && self.err.contains(words), "`{words}` is not in: {}{}", self.out, self.err);
    }
}

/// A directory of data, the database beside it, and a place for backups.
struct Scene {
    dir: tempfile::TempDir,
    database: Option<TestDatabase>,
}

impl Scene {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), database: TestDatabase::if_asked_for() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn serve(&self) -> Server {
        Server::start(&self.at("data"), self.database.as_ref())
    }

    /// Backs up into `backup`.
    fn create(&self, more: &[&str], points: &str) -> Said {
        let to = self.at("backup");
        let arguments = [&["backup", "create", "--to", to.to_str().unwrap()], more].concat();
        let mut command = aerostore(&self.at("data"), self.database.as_ref(), &arguments);
        command.env("AEROSTORE_FAILPOINTS", points);
        Said::of(command)
    }

    fn verify(&self) -> Said {
        let from = self.at("backup");
        Said::of(aerostore(&self.at("none"), None, &["backup", "verify", from.to_str().unwrap()]))
    }

    fn restore(&self, name: &str, database: Option<&TestDatabase>, points: &str) -> Said {
        let from = self.at("backup");
        let mut command = aerostore(&self.at(name), database, &["backup", "restore", from.to_str().unwrap()]);
        command.env("AEROSTORE_FAILPOINTS", points);
        Said::of(command)
    }

    /// Some blob in a directory of data or of a backup.
    fn blob(&self, name: &str) -> PathBuf {
        files(&self.at(name).join("blobs")).pop().expect("there is a blob")
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

struct Server {
    child: Child,
    url: String,
    service: String,
    client: Client,
}

impl Server {
    fn start(data_dir: &Path, database: Option<&TestDatabase>) -> Self {
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

    async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> (StatusCode, Vec<u8>) {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if path.ends_with("/bucket") {
            request = request.header("content-type", "application/json");
        }
        let answer = request.bearer_auth(&self.service).body(body).send().await.unwrap();
        (answer.status(), answer.bytes().await.unwrap().to_vec())
    }

    async fn bucket(&self, name: &str) {
        let body = json!({ "name": name, "policy": "private" }).to_string().into_bytes();
        let (status, said) = self.send(Method::POST, "/storage/v1/bucket", body).await;
        assert!(status.is_success(), "{status} {}", String::from_utf8_lossy(&said));
    }

    async fn put(&self, path: &str, body: Vec<u8>) {
        let (status, said) = self.send(Method::PUT, &format!("/storage/v1/object/docs/{path}"), body).await;
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&said));
    }

    async fn delete(&self, path: &str) {
        let (status, said) =
            self.send(Method::DELETE, &format!("/storage/v1/object/docs/{path}"), Vec::new()).await;
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&said));
    }

    /// The bytes of an object; `None` where there is none.
    async fn get(&self, path: &str) -> Option<Vec<u8>> {
        match self.send(Method::GET, &format!("/storage/v1/object/docs/{path}"), Vec::new()).await {
            (StatusCode::OK, bytes) => Some(bytes),
            (StatusCode::NOT_FOUND, _) => None,
            (status, said) => panic!("{path}: {status} {}", String::from_utf8_lossy(&said)),
        }
    }

    async fn json(&self, path: &str) -> Value {
        let (status, said) = self.send(Method::GET, path, Vec::new()).await;
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&said));
        serde_json::from_slice(&said).unwrap()
    }

    /// Counters equal a recount, every row has its bytes, and there are no others.
    async fn audit(&self) {
        let recount = self.json("/api/v1/storage/usage?recalculate=true").await;
        assert_eq!(recount["differences"], json!([]), "{recount}");
        let found = self.json("/api/v1/storage/cleanup").await;
        for name in ["orphan_blobs", "missing_blobs", "damaged_blobs", "pending_deletions"] {
            assert_eq!(found[name], json!(0), "{found}");
        }
        assert_eq!(found["halted"], Value::Null, "{found}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a key holds in its `state`th state; every fifth one is that it is deleted. Large and small ones take turns.
fn content(key: &str, state: u64) -> Option<Vec<u8>> {
    let size = if state.is_multiple_of(2) { 60_000 } else { 300 };
    let text = format!("{key} is in state {state:08}; ");
    (state % 5 != 4).then(|| text.repeat(size / text.len()).into_bytes())
}

/// The state that bytes are of.
fn state_of(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    text.split("state ").nth(1).unwrap()[..8].parse().unwrap()
}

/// The states that each key was last brought to: begun, and acknowledged.
type States = Arc<Mutex<HashMap<String, (u64, u64)>>>;

async fn write(server: Arc<Server>, writer: usize, states: States, stop: Arc<AtomicBool>) {
    for state in 0_u64.. {
        for key in 0..KEYS {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let key = format!("w{writer}/k{key}");
            states.lock().unwrap().entry(key.clone()).or_default().0 = state;
            match content(&key, state) {
                Some(bytes) => server.put(&key, bytes).await,
                None => server.delete(&key).await,
            }
            states.lock().unwrap().entry(key).or_default().1 = state;
        }
    }
}

/// Each key is in a state that it was brought to between these two moments.
async fn compare(server: &Server, before: &HashMap<String, (u64, u64)>, after: &HashMap<String, (u64, u64)>) {
    for (key, (_, acknowledged)) in before {
        let (begun, _) = after[key];
        match server.get(key).await {
            Some(bytes) => {
                let state = state_of(&bytes);
                assert!(
                    (*acknowledged..=begun).contains(&state),
                    "{key}: {state}, not {acknowledged}..={begun}"
                );
                assert!(Some(bytes) == content(key, state), "{key} has other bytes");
            }
            None => {
                assert!((*acknowledged..=begun).any(|state| content(key, state).is_none()), "{key} is gone");
            }
        }
    }
    server.audit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_has_all_that_was_acknowledged_and_goes_to_either_engine() {
    let scene = Scene::new();
    let server = Arc::new(scene.serve());
    server.bucket("docs").await;
    server.put("quiet", vec![7; 100_000]).await;
    let (states, stop) = (States::default(), Arc::new(AtomicBool::new(false)));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(server.clone(), writer, states.clone(), stop.clone())))
        .collect();
    let seen = || states.lock().unwrap().clone();
    let mut moments = Vec::new();
    for round in 0..3 {
        while seen().len() < WRITERS * KEYS || seen().values().any(|(_, done)| *done < 2 + round) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let before = seen();
        let said = tokio::task::block_in_place(|| scene.create(&[], "")).ok();
        assert_eq!(said["lost_blobs"], json!(0), "{said}");
        if round > 0 {
            assert!(said["copied_blobs"].as_u64() < said["blobs"].as_u64(), "some were there: {said}");
        }
        moments.push((before, seen()));
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let verified = scene.verify().ok();
    assert_eq!(verified["whole_blobs"], verified["blobs"], "{verified}");
    assert_eq!(
        files(&scene.at("backup/blobs")).len() as u64,
        verified["blobs"].as_u64().unwrap(),
        "what no backup names is gone"
    );
    let service = server.service.clone();
    drop(server);

    let (before, after) = moments.pop().unwrap();
    let other = TestDatabase::new();
    for (name, database) in [("on-sqlite", None), ("on-postgres", Some(&other))] {
        scene.restore(name, database, "").ok();
        let server = Server::start(&scene.at(name), database);
        assert_eq!(server.service, service, "keys are as they were");
        compare(&server, &before, &after).await;
        assert_eq!(server.get("quiet").await, Some(vec![7; 100_000]));
        server.put("later", vec![1; 50_000]).await;
        server.delete("quiet").await;
        drop(server);
        scene.restore(name, database, "").fails("is not empty");
    }
}

#[tokio::test]
async fn a_doctor_knows_how_old_the_last_backup_is() {
    let scene = Scene::new();
    let asked = |name: &str, database: Option<&TestDatabase>| {
        let mut command = aerostore(&scene.at(name), database, &["doctor"]);
        command.env("AEROSTORE_LISTEN", "127.0.0.1:0");
        let report = Said::of(command).out;
        let found = report["findings"].as_array().unwrap_or_else(|| panic!("{report}")).clone();
        let mut told = found.into_iter().filter(|finding| finding["about"] == "backup");
        told.next()
            .map(|it| format!("{}: {}", it["severity"].as_str().unwrap(), it["found"].as_str().unwrap()))
    };
    let doctor = || asked("data", scene.database.as_ref());
    if scene.database.is_none() {
        assert_eq!(doctor(), None, "there is nothing yet");
    }
    let server = scene.serve();
    server.bucket("docs").await;
    server.put("f", vec![1; 50_000]).await;
    assert_eq!(doctor().unwrap(), "warning: no backup was ever made");
    scene.create(&[], "backup.before_manifest=fail").fails("");
    assert_eq!(doctor().unwrap(), "warning: no backup was ever made", "none is whole");
    assert_eq!(scene.create(&[], "").ok()["unrecorded"], Value::Null);
    let place = scene.at("backup").canonicalize().unwrap();
    assert_eq!(
        doctor().unwrap(),
        format!("ok: the last backup is less than a day old ({})", place.display())
    );
    let record = scene.at("data/last-backup.json");
    let mut last: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    last["created_at"] = json!("2026-01-01T00:00:00Z");
    std::fs::write(&record, last.to_string()).unwrap();
    let told = doctor().unwrap();
    assert!(told.starts_with("warning: the last backup is ") && told.contains(" days old"), "{told}");
    drop(server);
    // What is restored was not backed up yet.
    scene.restore("elsewhere", None, "").ok();
    assert_eq!(asked("elsewhere", None).unwrap(), "warning: no backup was ever made");
    // One that can't be noted is a backup all the same.
    std::fs::remove_file(&record).unwrap();
    std::fs::create_dir_all(record.join("in the way")).unwrap();
    let unrecorded = scene.create(&[], "").ok()["unrecorded"].clone();
    assert!(unrecorded.as_str().unwrap().contains("will not know of it"), "{unrecorded}");
    assert!(doctor().unwrap().contains("can't be read"));
    scene.verify().ok();
}

#[tokio::test]
async fn what_is_deleted_meanwhile_is_kept_until_it_is_copied() {
    if !cfg!(feature = "failpoints") {
        return;
    }
    let scene = Scene::new();
    let server = scene.serve();
    server.bucket("docs").await;
    for at in 0..10 {
        server.put(&format!("f{at}"), vec![at; 50_000]).await;
    }
    let to = scene.at("backup");
    let arguments = ["backup", "create", "--json", "--to", to.to_str().unwrap()];
    let mut command = aerostore(&scene.at("data"), scene.database.as_ref(), &arguments);
    command.env("AEROSTORE_FAILPOINTS", "backup.metadata=delay(3000ms)").stdout(Stdio::null());
    let mut backup = command.spawn().unwrap();
    // The last table's file comes after the view of all was taken.
    let until = Instant::now() + Duration::from_secs(20);
    let is_read =
        || files(&to.join("metadata")).iter().any(|file| file.ends_with("storage_events_gone.jsonl"));
    while !is_read() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for at in 0..10 {
        server.delete(&format!("f{at}")).await;
    }
    assert!(backup.wait().unwrap().success());
    assert_eq!(scene.verify().ok()["whole_blobs"], json!(10));
    // And then they go.
    let until = Instant::now() + Duration::from_secs(30);
    while !files(&scene.at("data/blobs")).is_empty() {
        assert!(Instant::now() < until, "blobs are held for ever");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(server);
    scene.restore("new", None, "").ok();
    let server = Server::start(&scene.at("new"), None);
    for at in 0..10 {
        assert_eq!(server.get(&format!("f{at}")).await, Some(vec![at; 50_000]));
    }
    server.audit().await;
}

#[tokio::test]
async fn killed_at_any_step_there_is_a_backup_or_none_and_a_server_or_none() {
    if !cfg!(feature = "failpoints") {
        return;
    }
    let scene = Scene::new();
    let server = scene.serve();
    server.bucket("docs").await;
    for at in 0..5 {
        server.put(&format!("f{at}"), vec![at; 50_000]).await;
    }
    let steps = [
        "backup.snapshot=abort",
        "backup.metadata=abort",
        "backup.blob=abort@3",
        "backup.before_manifest=abort",
    ];
    scene.create(&[], "local.stage.write=enospc").fails("disk is full");
    scene.verify().fails("no finished backup");
    for points in steps {
        assert!(!scene.create(&[], points).ok, "{points}");
        scene.verify().fails("no finished backup");
    }
    scene.create(&[], "").ok();
    let first = scene.verify().ok();
    server.delete("f0").await;
    server.put("f5", vec![5; 50_000]).await;
    for points in steps {
        assert!(!scene.create(&[], points).ok, "{points}");
        assert_eq!(scene.verify().ok()["id"], first["id"], "{points}");
    }
    assert!(!scene.create(&[], "backup.published=abort").ok);
    let second = scene.verify().ok();
    assert_ne!(second["id"], first["id"]);
    scene.create(&[], "").ok();
    assert_eq!(files(&scene.at("backup/blobs")).len(), 5);
    drop(server);

    let target = scene.database.as_ref().map(|_| TestDatabase::new());
    for points in ["restore.blob=abort@3", "restore.blobs=abort", "restore.blob=enospc"] {
        assert!(!scene.restore("new", target.as_ref(), points).ok, "{points}");
        let serve = ["serve", "--listen", "127.0.0.1:0"];
        let refused = Said::of(aerostore(&scene.at("new"), target.as_ref(), &serve));
        refused.fails("not restored wholly");
    }
    if target.is_none() {
        assert!(!scene.restore("new", None, "restore.metadata=abort").ok);
    }
    scene.restore("new", target.as_ref(), "").ok();
    let server = Server::start(&scene.at("new"), target.as_ref());
    assert_eq!(server.get("f0").await, None);
    for at in 1..6 {
        assert_eq!(server.get(&format!("f{at}")).await, Some(vec![at; 50_000]));
    }
    server.audit().await;
}

#[tokio::test]
async fn damage_and_wrong_places_are_refused_and_named() {
    let scene = Scene::new();
    let server = scene.serve();
    server.bucket("docs").await;
    for at in 0..3 {
        server.put(&format!("f{at}"), vec![at; 50_000]).await;
    }
    let backup = |to: &Path| {
        let arguments = ["backup", "create", "--to", to.to_str().unwrap()];
        Said::of(aerostore(&scene.at("data"), scene.database.as_ref(), &arguments))
    };
    backup(&scene.at("data")).fails("lies in the data directory");
    backup(&scene.at("data/backup")).fails("lies in the data directory");
    std::fs::create_dir(scene.at("other")).unwrap();
    std::fs::write(scene.at("other/file"), "mine").unwrap();
    backup(&scene.at("other")).fails("neither empty nor a directory of backups");
    scene.verify().fails("no finished backup");
    scene.create(&[], "").ok();
    scene.restore("data", None, "").fails("is not empty");

    // A blob whose bytes have changed, and one that is not there.
    let (blob, bytes) = (scene.blob("backup"), vec![9; 50_000]);
    let whole = std::fs::read(&blob).unwrap();
    for broken in [Some(bytes), None] {
        match broken {
            Some(bytes) => std::fs::write(&blob, bytes).unwrap(),
            None => std::fs::remove_file(&blob).unwrap(),
        }
        scene.verify().fails("is damaged");
        let folder = format!("new-{}", blob.exists());
        scene.restore(&folder, None, "").fails("the backup is damaged");
        let serve = aerostore(&scene.at(&folder), None, &["serve", "--listen", "127.0.0.1:0"]);
        Said::of(serve).fails("not restored wholly");
    }
    // The next one mends what is missing.
    scene.create(&[], "").ok();
    assert_eq!(std::fs::read(&blob).unwrap(), whole);
    scene.verify().ok();

    // Metadata that has changed.
    let tables = files(&scene.at("backup/metadata"));
    let table = tables.iter().find(|file| file.ends_with("storage_objects.jsonl")).unwrap();
    let text = std::fs::read_to_string(table).unwrap();
    for broken in [text.replacen("f1", "f9", 1), text[..text.len() / 2].to_owned(), String::new()] {
        std::fs::write(table, broken).unwrap();
        scene.verify().fails("storage_objects.jsonl is not what was written");
        scene.restore("newer", None, "").fails("storage_objects.jsonl is not what was written");
    }
    std::fs::remove_file(scene.at("backup/manifest.json")).unwrap();
    scene.restore("newest", None, "").fails("no finished backup");

    // A server that has lost a blob is told so, and has the rest backed up where it wants that.
    std::fs::remove_file(scene.blob("data")).unwrap();
    std::fs::remove_dir_all(scene.at("backup")).unwrap();
    scene.create(&[], "").fails("missing or damaged");
    scene.verify().fails("no finished backup");
    let said = scene.create(&["--despite-losses"], "");
    assert_eq!((said.ok, &said.out["lost_blobs"], &said.out["blobs"]), (false, &json!(1), &json!(2)));
    assert_eq!(scene.verify().ok()["whole_blobs"], json!(2));
    let said = scene.restore("rest", None, "");
    assert_eq!((said.ok, &said.out["lost_blobs"], &said.out["copied_blobs"]), (false, &json!(1), &json!(2)));
    drop(server);
    let server = Server::start(&scene.at("rest"), None);
    let found = server.json("/api/v1/storage/cleanup").await;
    assert_eq!((&found["missing_blobs"], &found["orphan_blobs"]), (&json!(1), &json!(0)), "{found}");
}
