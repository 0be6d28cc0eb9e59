//! Lifecycle rules over many objects, by the real binary, killed amid the run: what is due goes, nothing else does, and memory does not
//! grow with their number. `AEROSTORE_LIFECYCLE_OBJECTS=1000000` tests as many; then it prints how long that took.

use std::path::Path;
use std::time::Instant;

use super::*;

/// Objects where nobody says how many. Every other one is due.
const OBJECTS: u64 = 20_000;

/// By how much more memory the server may have than before the run, in bytes.
const MOST_MEMORY: u64 = 64 << 20;

/// The database behind a server that is not running.
enum Behind<'d> {
    Sqlite(rusqlite::Connection),
    Postgres(&'d TestDatabase),
}

impl<'d> Behind<'d> {
    fn of(data_dir: &Path, database: Option<&'d TestDatabase>) -> Self {
        match database {
            Some(database) => Self::Postgres(database),
            None => Self::Sqlite(rusqlite::Connection::open(data_dir.join("metadata.sqlite")).unwrap()),
        }
    }

    async fn run(&self, sqlite: &str, postgres: &str) {
        match self {
            Self::Sqlite(conn) => conn.execute_batch(sqlite).unwrap(),
            Self::Postgres(database) => database.admin().await.batch_execute(postgres).await.unwrap(),
        }
    }

    async fn number(&self, sql: &str) -> u64 {
        let found: i64 = match self {
            Self::Sqlite(conn) => {
                let sql = sql.replace("aerostore.", "");
                conn.query_row(&sql, [], |row| row.get(0)).unwrap()
            }
            Self::Postgres(database) => {
                let row = database.admin().await.query_one(sql, &[]).await.unwrap();
                row.get(0)
            }
        };
        found.try_into().unwrap()
    }

    /// Makes so many objects of a byte each, in the order of their names by turns a hundred days old and one day old.
    async fn fill(&self, objects: u64) {
        let digest = "0".repeat(64);
        let sqlite = format!(
            "BEGIN; \
             CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {objects}) \
                 SELECT i, '00000000-0000-7000-9000-' || printf('%012x', i) AS version, \
                     (unixepoch() - 86400 * (CASE i % 2 WHEN 0 THEN 100 ELSE 1 END)) * 1000000 AS at FROM n; \
             INSERT INTO storage_objects (id, bucket_id, path, size, content_type, checksum, etag, version, created_at, updated_at) \
                 SELECT version, 'logs', printf('f/%08d', i), 1, 'text/plain', '{digest}', '{digest}', version, at, at FROM n; \
             INSERT INTO storage_segments (version, ordinal, \"offset\", size, sha256, bytes) \
                 SELECT version, 0, 0, 1, '{digest}', x'78' FROM n; \
             COMMIT"
        );
        let postgres = format!(
            "BEGIN; \
             CREATE TEMP TABLE n AS SELECT i, ('00000000-0000-7000-9000-' || lpad(to_hex(i), 12, '0'))::uuid AS version, \
                     now() - interval '1 day' * (CASE i % 2 WHEN 0 THEN 100 ELSE 1 END) AS at \
                 FROM generate_series(0, {objects} - 1) i; \
             INSERT INTO aerostore.storage_objects (id, bucket_id, path, size, content_type, checksum, etag, version, created_at, updated_at) \
                 SELECT version, 'logs', 'f/' || lpad(i::text, 8, '0'), 1, 'text/plain', '{digest}', '{digest}', version, at, at FROM n; \
             INSERT INTO aerostore.storage_segments (version, ordinal, \"offset\", size, sha256, bytes) \
                 SELECT version, 0, 0, 1, '{digest}', '\\x78'::bytea FROM n; \
             COMMIT; ANALYZE aerostore.storage_objects; ANALYZE aerostore.storage_segments"
        );
        self.run(&sqlite, &postgres).await;
    }
}

/// The memory that a process has, or had at most, in bytes, as the kernel counts it.
fn memory(server: &Server, of: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(of)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

async fn post(server: &Server, path: &str, body: Value) -> Value {
    let request = Client::new().post(format!("{}{path}", server.url)).bearer_auth(&server.token);
    let answer = request.json(&body).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {} {:?}", answer.status(), answer.text().await);
    answer.json().await.unwrap()
}

/// Waits until a run has done so much, or has ended.
async fn until(server: &Server, job: &str, done: u64) -> Value {
    loop {
        let job = server.json(Method::GET, &format!("/api/v1/storage/jobs/{job}")).await;
        let is_over = !["pending", "running"].contains(&job["status"].as_str().unwrap());
        if is_over || job["done"].as_u64().unwrap() >= done {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lifecycle_run_that_is_killed_ends_what_is_due_and_nothing_else() {
    let objects =
        std::env::var("AEROSTORE_LIFECYCLE_OBJECTS").map_or(OBJECTS, |count| count.parse().unwrap());
    let database = TestDatabase::if_asked_for();
    let dir = tempfile::tempdir().unwrap();
    let start = || Server::start(dir.path(), database.as_ref());
    let server = start();
    post(&server, "/storage/v1/bucket", json!({ "name": "logs" })).await;
    server.kill();
    let filling = Instant::now();
    Behind::of(dir.path(), database.as_ref()).fill(objects).await;
    let (filling, server) = (filling.elapsed(), start());
    // What stands in rows of our own making is counted.
    server.json(Method::POST, "/api/v1/storage/usage").await;
    post(&server, "/api/v1/storage/lifecycle", json!({ "bucket": "logs", "max_age_days": 30 })).await;
    // How much that is can be asked, too: a look at all of it ends in time.
    for path in ["/logs/f", "?by=user", "?by=provider"] {
        let asked = Instant::now();
        let usage = server.json(Method::GET, &format!("/api/v1/storage/usage{path}")).await;
        eprintln!("usage{path}: {:?}", asked.elapsed());
        let found = usage.get("entries").map_or(&usage, |entries| &entries[0]);
        assert_eq!(found["file_count"], objects, "{usage}");
    }
    let before = memory(&server, "VmRSS");
    let began = Instant::now();
    let job = post(&server, "/api/v1/storage/lifecycle/run", json!({})).await;
    let job = job["id"].as_str().unwrap().to_owned();

    let due = objects / 2;
    let amid = until(&server, &job, due / 4).await;
    let grown = memory(&server, "VmHWM").saturating_sub(before);
    assert!(grown < MOST_MEMORY, "{grown} bytes more");
    assert_eq!(amid["status"], "running", "{amid}");
    server.kill();
    let behind = Behind::of(dir.path(), database.as_ref());
    let left = behind.number("SELECT count(*) FROM aerostore.storage_objects").await;
    assert!((objects - due..objects - amid["done"].as_u64().unwrap() + 1).contains(&left), "{left}: {amid}");
    // As if the dead runner's time were over: another one may have the job.
    let over = "SET leased_until = created_at WHERE status = 'running'";
    behind.run(&format!("UPDATE jobs {over}"), &format!("UPDATE aerostore.jobs {over}")).await;
    drop(behind);

    let server = start();
    let before = memory(&server, "VmRSS");
    let ended = until(&server, &job, u64::MAX).await;
    let took = began.elapsed();
    let grown_again = memory(&server, "VmHWM").saturating_sub(before);
    assert_eq!((&ended["status"], &ended["failures"]), (&json!("completed"), &json!(0)), "{ended}");
    assert!(ended["done"].as_u64().unwrap() <= due, "{ended}");
    assert!(grown_again < MOST_MEMORY, "{grown_again} bytes more");
    eprintln!(
        "{objects} objects, made in {filling:?}: {due} went in {took:?} with a kill amid, {} and {} MiB more memory, \
         {} MiB at most",
        grown >> 20,
        grown_again >> 20,
        memory(&server, "VmHWM") >> 20
    );
    let usage = server.json(Method::GET, "/api/v1/storage/usage?recalculate=true").await;
    assert_eq!(usage["differences"], json!([]), "{usage}");
    server.kill();
    let behind = Behind::of(dir.path(), database.as_ref());
    let young = "SELECT count(*) FROM aerostore.storage_objects WHERE substr(path, length(path), 1) IN \
         ('1', '3', '5', '7', '9')";
    assert_eq!(behind.number(young).await, objects - due, "what is not due stays");
    for (table, count) in [("storage_objects", objects - due), ("storage_segments", objects - due)] {
        assert_eq!(behind.number(&format!("SELECT count(*) FROM aerostore.{table}")).await, count, "{table}");
    }
    let told = "SELECT count(*) FROM aerostore.storage_events WHERE kind = 'storage.object.deleted'";
    assert_eq!(behind.number(told).await, due, "each is told of once");
}
