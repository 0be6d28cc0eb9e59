//! A running server of this test's own.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::database::TestDatabase;
use super::{Call, Who};

/// A running server; killed when it goes out of scope.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Where S3 is served besides.
    #[allow(dead_code, reason = "another suite asks for it")]
    pub(crate) s3_address: Option<SocketAddr>,
    pub(crate) keys: Value,
    client: reqwest::Client,
    log: Arc<Mutex<Vec<u8>>>,
    data: Option<Data>,
}

/// What a server keeps: bytes and secrets in a directory, and metadata there or in a database.
pub(crate) struct Data {
    dir: TempDir,
    database: Option<TestDatabase>,
}

impl Data {
    #[allow(dead_code, reason = "another suite asks for it")]
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), database: TestDatabase::if_asked_for() }
    }

    /// What the binary does with these data, as it is told by arguments and variables.
    #[allow(dead_code, reason = "another suite asks for it")]
    pub(crate) fn run(&self, arguments: &[&str], settings: &[(&str, &str)]) -> std::process::Output {
        let mut process = aerostore(self.dir.path(), arguments);
        process.envs(self.settings()).envs(settings.iter().copied()).output().unwrap()
    }

    /// How a command ends that reads a server's configuration, on these data: whether it succeeds, and what it says.
    #[allow(dead_code, reason = "another suite asks for it")]
    pub(crate) fn command(&self, settings: &[(&str, &str)], arguments: &[&str]) -> (bool, String) {
        let ended = self.run(arguments, settings);
        let said = [ended.stdout, ended.stderr].concat();
        (ended.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Ends the claims on entries of the queue and on jobs that killed servers left, as the time would that they are for: a minute,
    /// and 20 seconds.
    #[allow(dead_code, reason = "another suite asks for it")]
    pub(crate) async fn end_claims(&self) {
        for (table, claimed) in [("upload_queue", "in_progress"), ("jobs", "running")] {
            let end = |table: &str, now: &str| {
                format!("UPDATE {table} SET leased_until = {now} WHERE status = '{claimed}'")
            };
            self.write(&end(table, "0"), &end(&format!("aerostore.{table}"), "now()")).await;
        }
    }

    /// Writes to the database past a server, which is not running: in the words of the engine that it is of.
    #[allow(dead_code, reason = "another suite asks for it")]
    pub(crate) async fn write(&self, sqlite: &str, postgres: &str) {
        match &self.database {
            Some(database) => database.admin().await.batch_execute(postgres).await.unwrap(),
            None => {
                let metadata = rusqlite::Connection::open(self.dir.path().join("metadata.sqlite")).unwrap();
                metadata.execute_batch(sqlite).unwrap();
            }
        }
    }

    /// Makes objects so many days older than they are.
    #[allow(dead_code, reason = "another suite asks for it")]
    pub(crate) async fn age(&self, days: u32) {
        let sqlite = format!("UPDATE storage_objects SET updated_at = updated_at - 86400 * 1000000 * {days}");
        let postgres = format!(
            "UPDATE aerostore.storage_objects SET updated_at = updated_at - interval '1 day' * {days}"
        );
        self.write(&sqlite, &postgres).await;
    }

    /// What tells a server of the database.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let url = self.database.as_ref().map(TestDatabase::url);
        url.map_or_else(Vec::new, |url| {
            // Tests look at what is left on the disk; nobody else reads it.
            vec![("AEROSTORE_DATABASE", url), ("AEROSTORE_POSTGRES_DELETION_GRACE", "0s".to_owned())]
        })
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts with environment variables that configure it.
    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::start_in(Data::new(), settings)
    }

    /// Starts on data that are there already.
    pub(crate) fn start_in(data: Data, settings: &[(&str, &str)]) -> Self {
        let mut server = Self::launch(data.dir.path(), &data.settings(), settings);
        server.data = Some(data);
        server
    }

    /// Starts another server on the data of this one.
    #[allow(dead_code, reason = "another suite asks for it")]
    pub(crate) fn beside(&self, settings: &[(&str, &str)]) -> Self {
        let data = self.data.as_ref().unwrap();
        Self::launch(data.dir.path(), &data.settings(), settings)
    }

    fn launch(dir: &Path, place: &[(&'static str, String)], settings: &[(&str, &str)]) -> Self {
        let mut child = aerostore(dir, &["serve"])
            .args(["--listen", "127.0.0.1:0"])
            .envs(place.iter().map(|(name, value)| (*name, value)))
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut errors = child.stderr.take().unwrap();
        let kept = log.clone();
        std::thread::spawn(move || {
            let mut chunk = [0; 8192];
            while let Ok(count @ 1..) = errors.read(&mut chunk) {
                kept.lock().unwrap().extend_from_slice(&chunk[..count]);
            }
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut s3_address = None;
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            if let Some((_, url)) = line.split_once("S3 is served on http://") {
                s3_address = Some(url.trim().parse().unwrap());
            }
            let (_, url) = line.split_once("ready on http://")?;
            Some(url.trim().parse().unwrap())
        });
        let said = || String::from_utf8_lossy(&log.lock().unwrap()).into_owned();
        let address = address.unwrap_or_else(|| panic!("the server is not ready: {}", said()));
        std::thread::spawn(move || lines.for_each(drop));
        let keys = aerostore(dir, &["keys", "--json"]).envs(settings.iter().copied()).output().unwrap();
        let keys = serde_json::from_slice(&keys.stdout).unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { child, address, s3_address, keys, client, log, data: None }
    }

    /// How a command ends that reads the server's configuration, beside it: whether it succeeds, and what it says.
    #[allow(dead_code, reason = "another suite asks for it")]
    pub(crate) fn command(&self, settings: &[(&str, &str)], arguments: &[&str]) -> (bool, String) {
        self.data.as_ref().unwrap().command(settings, arguments)
    }

    /// The most memory that it ever had, in bytes, as the kernel counts it.
    #[allow(dead_code, reason = "another suite asks for it")]
    pub(crate) fn most_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// Ends it by SIGKILL, amid whatever it does.
    #[allow(dead_code, reason = "another suite asks for it")]
    pub(crate) fn kill(&self) {
        self.signal("-KILL");
    }

    /// Has it stand still by SIGSTOP: the kernel goes on taking connections and what is sent, and nobody answers.
    #[allow(dead_code, reason = "another suite asks for it")]
    pub(crate) fn stand_still(&self) {
        self.signal("-STOP");
        let status = format!("/proc/{}/status", self.child.id());
        while !std::fs::read_to_string(&status).unwrap().contains("State:\tT") {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Has it go on where it was.
    #[allow(dead_code, reason = "another suite asks for it")]
    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "{signal}");
    }

    /// Ends it by SIGTERM, as an operator does, and leaves the data to be used again.
    #[allow(dead_code, reason = "another suite asks for it")]
    pub(crate) fn terminate(mut self) -> Data {
        self.signal("-TERM");
        assert!(self.child.wait().unwrap().success());
        self.data.take().unwrap()
    }

    /// Stops at once, and leaves the data to be used again.
    pub(crate) fn stop(mut self) -> Data {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.data.take().unwrap()
    }

    /// A request to a path below the REST API's base.
    pub(crate) fn call(&self, who: Who, method: &str, path: &str) -> Call {
        self.request(who, method, &format!("/storage/v1{path}"))
    }

    /// A request to any path.
    pub(crate) fn request(&self, who: Who, method: &str, path: &str) -> Call {
        let call = Call::new(&self.client, method, format!("http://{}{path}", self.address));
        match who {
            Who::Anon => call,
            who => call.bearer(&self.token(who)),
        }
    }

    /// A good token of this caller.
    pub(crate) fn token(&self, who: Who) -> String {
        match who {
            Who::Anon => self.key("anon_key"),
            Who::Service => self.key("service_key"),
            Who::User(user) => self.mint(&json!({
                "sub": user, "role": "authenticated", "exp": chrono::Utc::now().timestamp() + 3600,
            })),
        }
    }

    pub(crate) fn key(&self, name: &str) -> String {
        self.keys[name].as_str().unwrap().to_owned()
    }

    /// Any claims, signed by the server's own secret.
    pub(crate) fn mint(&self, claims: &Value) -> String {
        let secret = EncodingKey::from_secret(self.key("jwt_secret").as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &secret).unwrap()
    }

    /// Makes a bucket; for the service role, one without owner.
    pub(crate) async fn bucket(&self, who: Who, name: &str, policy: &str) {
        self.bucket_with(who, json!({ "name": name, "policy": policy })).await;
    }

    pub(crate) async fn bucket_with(&self, who: Who, body: Value) {
        self.call(who, "POST", "/bucket").json(&body).send().await.expect_status(201);
    }

    /// Makes or replaces an object. `place` is `bucket/path`, fit for a URL.
    pub(crate) async fn put(&self, who: Who, place: &str, body: impl Into<Vec<u8>>) {
        self.call(who, "PUT", &format!("/object/{place}")).body(body).send().await.expect_status(200);
    }

    /// What the service role reads there; `None` where there is nothing.
    pub(crate) async fn content(&self, place: &str) -> Option<Vec<u8>> {
        let reply = self.call(Who::Service, "GET", &format!("/object/{place}")).send().await;
        match reply.status {
            404 => None,
            _ => Some(reply.expect_status(200).body),
        }
    }

    /// A figure that `/metrics` tells, named with its labels as they stand there; `None` where it tells none.
    #[allow(dead_code, reason = "another suite asks for it")]
    pub(crate) async fn figure(&self, series: &str) -> Option<f64> {
        let text = self.request(Who::Service, "GET", "/metrics").send().await.expect_status(200).text();
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// The same, as soon as it is so: some figures are taken every few seconds.
    #[allow(dead_code, reason = "another suite asks for it")]
    pub(crate) async fn until_figure(&self, series: &str, is_so: impl Fn(f64) -> bool) {
        let began = std::time::Instant::now();
        loop {
            let figure = self.figure(series).await;
            if figure.is_some_and(&is_so) {
                return;
            }
            assert!(began.elapsed().as_secs() < 90, "{series} is {figure:?}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Whether bytes and metadata agree, and nothing is left over.
    pub(crate) async fn expect_clean(&self) {
        let report =
            self.request(Who::Service, "GET", "/api/v1/storage/cleanup").send().await.expect_status(200);
        let report = report.json();
        for (field, wanted) in
            [("orphan_blobs", json!(0)), ("missing_blobs", json!(0)), ("halted", Value::Null)]
        {
            assert_eq!(report[field], wanted, "{field} in {report}");
        }
        let usage = self.request(Who::Service, "GET", "/api/v1/storage/usage?recalculate=true").send().await;
        let usage = usage.expect_status(200).json();
        assert_eq!(usage["differences"], json!([]), "{usage}");
    }

    /// Files that hold bytes, whole or half-written.
    pub(crate) fn files_on_disk(&self) -> usize {
        ["blobs", "staging"].iter().map(|folder| count_files(&self.data_dir().join(folder))).sum()
    }

    #[allow(dead_code, reason = "another suite asks for it")]
    pub(crate) fn data(&self) -> &Data {
        self.data.as_ref().unwrap()
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.data.as_ref().unwrap().dir.path()
    }

    /// What it has written to standard error so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().unwrap()).into_owned()
    }

    /// The log up to the line that says `what`: lines are written a moment after their requests are answered.
    pub(crate) async fn log_until(&self, what: &str) -> String {
        for _ in 0..4000 {
            let log = self.log();
            if log.contains(what) {
                return log;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the log never says {what}: {}", self.log());
    }

    /// A user's token as the command line makes one.
    pub(crate) fn token_by_command(&self, user: Uuid) -> String {
        let user = user.to_string();
        let made = aerostore(self.data_dir(), &["token", "create", "--user", &user]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(30).collect();
            eprintln!("--- the server's last lines, newest first\n{}", tail.join("\n"));
        }
    }
}

/// The binary, as a user runs it.
fn aerostore(data_dir: &Path, arguments: &[&str]) -> Command {
    let mut process = Command::new(env!("CARGO_BIN_EXE_aerostore"));
    // What a developer has set is for another server.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AEROSTORE_"))
    {
        process.env_remove(name);
    }
    process.args(arguments).arg("--data-dir").arg(data_dir).stdin(Stdio::null());
    process
}

/// Files below a folder, but for the lock by which a server holds its own.
fn count_files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let count = |path: std::path::PathBuf| match path.is_dir() {
        true => count_files(&path),
        false => usize::from(path.extension().is_none_or(|extension| extension != "lock")),
    };
    entries.map(count).sum()
}
