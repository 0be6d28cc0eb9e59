//! `aerostore migrate` as an operator uses it: a server that ran on SQLite, stopped, moved, and started on PostgreSQL.
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

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use database::TestDatabase;

const USER: &str = "00000000-0000-4000-8000-000000000001";
const OTHER: &str = "00000000-0000-4000-8000-000000000002";

fn aerostore(data_dir: &Path, arguments: &[&str]) -> Command {
    let mut process = Command::new(env!("CARGO_BIN_EXE_aerostore"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AEROSTORE_"))
    {
        process.env_remove(name);
    }
    process.args(arguments).arg("--data-dir").arg(data_dir).stdin(Stdio::null());
    process
}

fn migrate(data_dir: &Path, database: &TestDatabase, more: &[&str], points: &str) -> (bool, String, String) {
    let url = database.url();
    let mut process = aerostore(data_dir, &[&["migrate", "--to", url.as_str()], more].concat());
    let done = process.env("AEROSTORE_FAILPOINTS", points).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.success(), text(&done.stdout), text(&done.stderr))
}

struct Server {
    child: Child,
    url: String,
    service: String,
    users: [String; 2],
}

impl Server {
    fn start(data_dir: &Path, database: Option<&TestDatabase>) -> Self {
        let mut child = aerostore(data_dir, &["serve", "--listen", "127.0.0.1:0"])
            .envs(database.map(|database| ("AEROSTORE_DATABASE", database.url())))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines
            .find_map(|line| line.unwrap().split_once("ready on ").map(|(_, url)| url.trim().to_owned()));
        std::thread::spawn(move || lines.for_each(drop));
        let said = |arguments: &[&str]| {
            String::from_utf8(aerostore(data_dir, arguments).output().unwrap().stdout)
                .unwrap()
                .trim()
                .to_owned()
        };
        let keys: Value = serde_json::from_str(&said(&["keys", "--json"])).unwrap();
        let users = [USER, OTHER].map(|user| said(&["token", "create", "--user", user]));
        Self { child, url: ready.unwrap(), service: keys["service_key"].as_str().unwrap().to_owned(), users }
    }

    async fn send(&self, token: &str, method: Method, path: &str, body: Vec<u8>) -> (StatusCode, Vec<u8>) {
        let metadata = base64::prelude::BASE64_STANDARD.encode(r#"{"ü":"😀 \" \\ \n","n":1.5e20}"#);
        let mut request = Client::new().request(method, format!("{}{path}", self.url)).bearer_auth(token);
        request = if path.contains("/bucket") || path.contains("/policies") {
            request.header("content-type", "application/json")
        } else {
            request.header("x-metadata", metadata)
        };
        let answer = request.body(body).send().await.unwrap();
        (answer.status(), answer.bytes().await.unwrap().to_vec())
    }

    async fn get(&self, token: &str, path: &str) -> (StatusCode, Vec<u8>) {
        self.send(token, Method::GET, path, Vec::new()).await
    }

    async fn put(&self, token: &str, place: &str, body: Vec<u8>) {
        let (status, said) =
            self.send(token, Method::PUT, &format!("/storage/v1/object/{place}"), body).await;
        assert!(status.is_success(), "{place}: {status} {}", String::from_utf8_lossy(&said));
    }

    async fn bucket(&self, token: &str, body: Value) {
        let (status, said) =
            self.send(token, Method::POST, "/storage/v1/bucket", body.to_string().into_bytes()).await;
        assert!(status.is_success(), "{status} {}", String::from_utf8_lossy(&said));
    }

    async fn policy(&self, sql: &str) {
        let body = json!({ "sql": sql }).to_string().into_bytes();
        let (status, said) = self.send(&self.service, Method::POST, "/api/v1/storage/policies", body).await;
        assert!(status.is_success(), "{status} {}", String::from_utf8_lossy(&said));
    }

    /// All that callers are told: bytes, rows, buckets, usage; and what they are refused.
    async fn told(&self) -> Vec<(StatusCode, Vec<u8>)> {
        let mut told = Vec::new();
        for token in [&self.service, &self.users[0], &self.users[1]] {
            for bucket in ["pub", "mine", "system"] {
                told.push(self.get(token, &format!("/storage/v1/bucket/{bucket}")).await);
                for path in ["small", "big", "over/written", "%C3%BC%20%22%25", "empty"] {
                    told.push(self.get(token, &format!("/storage/v1/object/{bucket}/{path}")).await);
                    let (status, info) =
                        self.get(token, &format!("/storage/v1/object/info/{bucket}/{path}")).await;
                    // Of an error, the request's id is another one each time.
                    told.push((status, if status.is_success() { info } else { Vec::new() }));
                }
            }
        }
        for (status, body) in &mut told {
            if !status.is_success() {
                body.clear();
            }
        }
        told.push(self.get(&self.service, "/api/v1/storage/usage?recalculate=true").await);
        told.push(self.get(&self.users[0], "/api/v1/storage/usage").await);
        told.push(self.get(&self.service, "/api/v1/storage/policies").await);
        told
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_moved_server_answers_as_before() {
    let (dir, database) = (tempfile::tempdir().unwrap(), TestDatabase::new());
    let data_dir = dir.path();
    let server = Server::start(data_dir, None);
    server.bucket(&server.service, json!({ "name": "pub", "policy": "public" })).await;
    server
        .bucket(&server.users[0], json!({ "name": "mine", "policy": "private", "quota_bytes": 10_000_000 }))
        .await;
    server.bucket(&server.service, json!({ "name": "system", "policy": "private" })).await;
    for (bucket, token) in
        [("pub", &server.service), ("mine", &server.users[0]), ("system", &server.users[1])]
    {
        server.put(token, &format!("{bucket}/small"), b"small \0 bytes".to_vec()).await;
        server.put(token, &format!("{bucket}/big"), bucket.repeat(100_000).into_bytes()).await;
        server.put(token, &format!("{bucket}/over/written"), vec![1; 50_000]).await;
        server.put(token, &format!("{bucket}/over/written"), vec![2; 60_000]).await;
        server.put(token, &format!("{bucket}/%C3%BC%20%22%25"), b"odd".to_vec()).await;
        server.put(token, &format!("{bucket}/empty"), Vec::new()).await;
    }
    // Policies come along: one that opens, one that closes.
    server
        .policy(
            "CREATE POLICY \"Small ones\" ON storage.objects FOR SELECT TO authenticated USING (size < 50)",
        )
        .await;
    server
        .policy("CREATE POLICY nobody ON storage.objects AS RESTRICTIVE FOR SELECT USING (name <> 'empty')")
        .await;
    let small = server.get(&server.users[1], "/storage/v1/object/mine/small").await;
    assert_eq!(small.1, b"small \0 bytes");
    assert!(!server.get(&server.users[0], "/storage/v1/object/mine/empty").await.0.is_success());
    let before = server.told().await;
    assert!(before.iter().filter(|(status, _)| status.is_success()).count() > 40);
    assert!(before.iter().any(|(status, _)| !status.is_success()), "others are refused");

    let (moved, _, said) = migrate(data_dir, &database, &[], "");
    assert!(!moved && said.contains("stop it first"), "{said}");
    // As by a crash: the log beside the database has what the file itself has not.
    drop(server);
    let file = std::fs::read(data_dir.join("metadata.sqlite")).unwrap();
    let (moved, told, said) = migrate(data_dir, &database, &["--dry-run", "--json"], "");
    let told: Value = serde_json::from_str(&told).unwrap_or_else(|_| panic!("{said}"));
    assert_eq!((moved, &told["moved"], &told["tables"][1]["rows"]), (true, &json!(false), &json!(15)));

    if cfg!(feature = "failpoints") {
        for points in ["migrate.table=abort@5", "migrate.before_commit=abort@1"] {
            let (moved, _, said) = migrate(data_dir, &database, &[], points);
            assert!(!moved, "{said}");
            let left = "SELECT (SELECT count(*) FROM aerostore.storage_buckets) \
                 + (SELECT count(*) FROM aerostore.storage_objects) + (SELECT count(*) FROM aerostore.storage_events)";
            let left: i64 = database.admin().await.query_one(left, &[]).await.unwrap().get(0);
            assert_eq!(left, 0);
        }
    }
    let (moved, told, said) = migrate(data_dir, &database, &["--json"], "");
    assert!(moved, "{said}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["moved"], &told["tables"][0]["rows"]), (&json!(true), &json!(3)));
    assert!(file == std::fs::read(data_dir.join("metadata.sqlite")).unwrap(), "the source is as it was");
    let (moved, _, said) = migrate(data_dir, &database, &[], "");
    assert!(!moved && said.contains("is not empty"), "{said}");
    let again = aerostore(data_dir, &["serve", "--listen", "127.0.0.1:0"]).output().unwrap();
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && said.contains("was moved to postgres://"), "{said}");

    let server = Server::start(data_dir, Some(&database));
    let after = server.told().await;
    for (at, (before, after)) in before.iter().zip(&after).enumerate() {
        assert_eq!(before.0, after.0, "answer {at}");
        // Usage may be told in another order of members.
        match (serde_json::from_slice::<Value>(&before.1), serde_json::from_slice::<Value>(&after.1)) {
            (Ok(before), Ok(after)) => assert_eq!(before, after, "answer {at}"),
            _ => assert!(before.1 == after.1, "answer {at}"),
        }
    }
    server.put(&server.users[0], "mine/new", b"later".to_vec()).await;
    let numbers = "SELECT count(*) = count(DISTINCT sequence) AND max(sequence) = count(*) FROM aerostore.storage_events";
    let on: bool = database.admin().await.query_one(numbers, &[]).await.unwrap().get(0);
    assert!(on, "events are numbered on");
}
