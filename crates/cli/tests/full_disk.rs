//! A full disk is cleared through the product: deletions succeed where nothing else does, after a SIGKILL as well, and
//! uploads work again when there is room.
//!
//! The disk is a tmpfs of 8 MB, mounted in a namespace of its own, which any user may make on most machines. Where none
//! can be made, named points in the server say that the disk is full (feature `failpoints`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests, whose helpers lie outside of test functions"
)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};

/// Kept in the database, and kept as a blob.
const INLINE: usize = 16_000;
const BLOB: usize = 100_000;

/// Longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A disk of 8 MB that goes away with its owner; or none, where this machine lets nobody mount one.
struct Disk {
    place: tempfile::TempDir,
    /// Lives in the namespace where the disk is mounted, until its input ends.
    holder: Option<Child>,
}

impl Disk {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let mount = r#"mount -t tmpfs -o size=8m,mode=700 tmpfs "$1" && echo mounted && exec cat"#;
        let holder = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", mount, "sh"])
            .arg(place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let holder = holder.ok().and_then(|mut holder| {
            let mut said = String::new();
            BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
            if said == "mounted\n" {
                return Some(holder);
            }
            holder.wait().unwrap();
            None
        });
        Self { place, holder }
    }

    /// A program that sees the disk.
    fn command(&self, program: &str) -> Command {
        let mut command = match &self.holder {
            None => Command::new(program),
            Some(holder) => {
                let mut command = Command::new("nsenter");
                command.args(["--preserve-credentials", "--user", "--mount", "--target"]);
                command.arg(holder.id().to_string()).arg(program);
                command
            }
        };
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AEROSTORE_"))
        {
            command.env_remove(name);
        }
        command
    }

    fn aerostore(&self, command: &str, data: &Path) -> Command {
        let mut process = self.command(env!("CARGO_BIN_EXE_aerostore"));
        process.arg(command).arg("--data-dir").arg(data);
        process
    }

    fn filler(&self) -> PathBuf {
        self.place.path().join("filler")
    }

    /// Somebody else takes all that is left.
    fn fill(&self) {
        let fill = r#"head -c 100m /dev/zero >"$1" 2>/dev/null; test "$(stat -f -c %a "$1")" = 0"#;
        let full = self.command("sh").args(["-c", fill, "sh"]).arg(self.filler()).status().unwrap();
        assert!(full.success(), "not a byte is left");
    }

    fn remove_filler(&self) {
        assert!(self.command("rm").arg(self.filler()).status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(holder) = &mut self.holder {
            drop(holder.stdin.take());
            let _ = holder.wait();
        }
    }
}

/// A server on a disk.
struct Server {
    child: Child,
    url: String,
    token: String,
    client: Client,
}

impl Server {
    fn start(disk: &Disk, failpoints: Option<&str>) -> Self {
        Self::start_with(disk, &disk.place.path().join("data"), |serve| {
            if let Some(points) = failpoints {
                serve.env("AEROSTORE_FAILPOINTS", points);
            }
        })
    }

    /// With its data elsewhere, perhaps.
    fn start_with(disk: &Disk, data: &Path, configure: impl FnOnce(&mut Command)) -> Self {
        let mut serve = disk.aerostore("serve", data);
        serve.args(["--listen", "127.0.0.1:0", "--log-level", "warn"]).stdout(Stdio::piped());
        configure(&mut serve);
        let mut child = serve.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.find_map(|line| Some(line.unwrap().split_once("ready on ")?.1.trim().to_owned()));
        std::thread::spawn(move || lines.for_each(drop));
        let keys = disk.aerostore("keys", data).arg("--json").output().unwrap();
        let keys: Value = serde_json::from_slice(&keys.stdout).unwrap();
        let token = keys["service_key"].as_str().unwrap().to_owned();
        Self { child, url: ready.expect("the server starts"), token, client: Client::new() }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        let request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
    }

    async fn create_bucket(&self) {
        let body = json!({ "name": "box" }).to_string().into_bytes();
        assert_eq!(self.send(Method::POST, "/storage/v1/bucket", body).await.0, 201);
    }

    async fn put(&self, number: usize, size: usize) -> u16 {
        let (status, body) = self.send(Method::PUT, &place(number), content(number, size)).await;
        if status == 507 {
            let error: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(error["code"], "DISK_FULL", "{error}");
        }
        status
    }

    async fn expect_content(&self, number: usize, size: usize) {
        let (status, body) = self.send(Method::GET, &place(number), Vec::new()).await;
        assert!(status == 200 && body == content(number, size), "{number}: {status}, {} bytes", body.len());
    }

    /// Uploads until the disk is full; gives the number of objects that are there then.
    async fn put_until_full(&self, size: usize) -> usize {
        for number in 0..2000 {
            match self.put(number, size).await {
                200 => {}
                507 => return number,
                status => panic!("{number}: {status}"),
            }
        }
        panic!("8 MB hold less than that");
    }

    async fn delete(&self, number: usize) -> u16 {
        self.send(Method::DELETE, &place(number), Vec::new()).await.0
    }

    async fn empty_bucket(&self) {
        let (status, body) = self.send(Method::POST, "/storage/v1/bucket/box/empty", Vec::new()).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    }

    /// Uploads work again, without anybody doing anything more.
    async fn recovers(&self, size: usize) {
        self.recovers_at(0, size).await;
    }

    /// One of many, which may have to wait for blobs to be deleted.
    async fn recovers_at(&self, number: usize, size: usize) {
        let started = Instant::now();
        loop {
            match self.put(number, size).await {
                200 => return,
                507 if started.elapsed() < PATIENCE => tokio::time::sleep(Duration::from_millis(50)).await,
                status => panic!("upload {number} does not work again: {status}"),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn place(number: usize) -> String {
    format!("/storage/v1/object/box/f{number:04}")
}

fn content(number: usize, size: usize) -> Vec<u8> {
    format!("{number};").into_bytes().into_iter().cycle().take(size).collect()
}

/// `filled`: others took what was left, so that there is not a byte for the log.
async fn check(size: usize, filled: bool) {
    let disk = Disk::new();
    if disk.holder.is_none() {
        return check_by_failpoints(&disk, size).await;
    }
    let server = Server::start(&disk, None);
    server.create_bucket().await;
    let stored = server.put_until_full(size).await;
    assert!(stored * size > 3_000_000, "most of the disk is for files: {stored} of {size} bytes");
    if filled {
        disk.fill();
    }
    assert_eq!(server.put(9999, size).await, 507);
    server.expect_content(stored - 1, size).await;
    assert_eq!(server.delete(0).await, 204, "a deletion on a full disk");
    if filled && size == INLINE {
        let health = server.send(Method::GET, "/api/v1/storage/health", Vec::new()).await.1;
        let health: Value = serde_json::from_slice(&health).unwrap();
        assert!(health["status"] != "ok" && health["problem"].is_string(), "{health}");
    }

    // The same after a start on the full disk; what was acknowledged is there.
    server.kill();
    let server = Server::start(&disk, None);
    for number in 1..stored {
        server.expect_content(number, size).await;
    }
    assert_eq!(server.delete(1).await, 204, "a deletion after a restart");
    server.empty_bucket().await;
    let (_, listed) = server.send(Method::POST, "/storage/v1/object/list-v2/box", b"{}".to_vec()).await;
    assert_eq!(serde_json::from_slice::<Value>(&listed).unwrap()["objects"], json!([]));
    if filled && size == INLINE {
        // The database keeps its pages for itself, and the reserve needs room that somebody else has.
        disk.remove_filler();
    }
    server.recovers(size).await;
    // As much fits as before, but for what the filler holds.
    for number in 1..stored * 3 / 4 {
        server.recovers_at(number, size).await;
    }
    let recount = server.send(Method::GET, "/api/v1/storage/usage?recalculate=true", Vec::new()).await.1;
    assert_eq!(serde_json::from_slice::<Value>(&recount).unwrap()["differences"], json!([]));
}

/// The same without a disk that is full: the server is told that it is.
async fn check_by_failpoints(disk: &Disk, size: usize) {
    eprintln!("no disk can be mounted here: named points say that it is full");
    if !cfg!(feature = "failpoints") {
        panic!("neither a mount nor failpoints: run with --features failpoints");
    }
    let server = Server::start(disk, None);
    server.create_bucket().await;
    for number in 0..20 {
        assert_eq!(server.put(number, size).await, 200);
    }
    server.kill();
    let server = Server::start(disk, Some("sqlite.room=enospc"));
    assert_eq!(server.put(9999, size).await, 507);
    server.expect_content(19, size).await;
    assert_eq!(server.delete(0).await, 204);
    server.empty_bucket().await;
    server.kill();
    Server::start(disk, None).recovers(size).await;
    // The commit itself meets the full disk: the reserve is given up, and it is tried again.
    let server = Server::start(disk, Some("sqlite.commit=enospc@1"));
    assert_eq!(server.delete(0).await, 204);
    server.recovers(size).await;
}

#[tokio::test]
async fn small_files_that_filled_the_disk_are_deleted() {
    check(INLINE, false).await;
}

#[tokio::test]
async fn small_files_are_deleted_where_not_a_byte_is_left() {
    check(INLINE, true).await;
}

#[tokio::test]
async fn large_files_that_filled_the_disk_are_deleted() {
    check(BLOB, false).await;
}

#[tokio::test]
async fn large_files_are_deleted_where_not_a_byte_is_left() {
    check(BLOB, true).await;
}

/// Where the audit log's own disk is full, nothing is changed, and everything is read; and no line is lost.
#[tokio::test]
async fn changes_are_refused_while_the_audit_logs_disk_is_full() {
    let disk = Disk::new();
    if disk.holder.is_none() {
        eprintln!("no disk can be mounted here: the audit log's own tests say that it is full");
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(&disk, data.path(), |serve| {
        serve.env("AEROSTORE_AUDIT_DIRECTORY", disk.place.path().join("audit"));
    });
    server.create_bucket().await;
    assert_eq!(server.put(0, INLINE).await, 200);
    disk.fill();
    // What is left of the file's last block has room for some lines.
    let mut last = 0;
    while server.put(last + 1, INLINE).await == 200 {
        last += 1;
        assert!(last < 100, "a full disk takes no lines");
    }
    assert_eq!(server.put(last + 2, INLINE).await, 507);
    assert_eq!(server.delete(0).await, 507);
    server.expect_content(0, INLINE).await;
    // Health says so, and so does who looks from outside.
    let (status, health) = server.send(Method::GET, "/api/v1/storage/health", Vec::new()).await;
    let health: Value = serde_json::from_slice(&health).unwrap();
    assert_eq!((status, &health["status"]), (200, &json!("degraded")), "{health}");
    assert!(health["problem"].as_str().unwrap().contains("its disk is full"), "{health}");
    assert_eq!(server.send(Method::GET, "/readyz", Vec::new()).await.0, 200);
    let mut doctor = disk.aerostore("doctor", data.path());
    let doctor = doctor.env("AEROSTORE_AUDIT_DIRECTORY", disk.place.path().join("audit")).output().unwrap();
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(
        !doctor.status.success() && said.contains("the disk of the audit log has 0 MiB left (0%)"),
        "{said}"
    );
    disk.remove_filler();
    server.recovers_at(last + 2, INLINE).await;
    assert_eq!(server.delete(0).await, 204);
    server.kill();
    let verify = disk
        .command(env!("CARGO_BIN_EXE_aerostore"))
        .args(["audit", "verify", "--json"])
        .arg(disk.place.path().join("audit"))
        .output()
        .unwrap();
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));
    let export = disk
        .command(env!("CARGO_BIN_EXE_aerostore"))
        .args(["audit", "export"])
        .arg(disk.place.path().join("audit"))
        .output()
        .unwrap();
    let lines = String::from_utf8(export.stdout).unwrap();
    for number in 0..=last + 2 {
        assert!(lines.contains(&format!("\"path\":\"f{number:04}\"")), "{number} of {last}: {lines}");
    }
}

/// Without a mount, by named points: on every machine where they are built in.
#[cfg(feature = "failpoints")]
#[tokio::test]
async fn a_disk_that_is_said_to_be_full_is_cleared() {
    for size in [INLINE, BLOB] {
        let disk = Disk { place: tempfile::tempdir().unwrap(), holder: None };
        check_by_failpoints(&disk, size).await;
    }
}
