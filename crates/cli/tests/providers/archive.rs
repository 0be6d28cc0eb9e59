//! A lifecycle rule that archives to a cloud: old bytes go there by the queue, and all else stays as it is.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cloud::{Cloud, SECRET};
use crate::queue::expect_on_disk;
use crate::support::{OWNER, Server, Who, pattern};

const ME: Who = Who::User(OWNER);

/// More than the longest answer takes.
const LONG: Duration = Duration::from_secs(60);

async fn ask(server: &Server, path: &str, body: Value) -> Value {
    let reply = server.request(Who::Service, "POST", path).json(&body).send().await;
    assert!([201, 202].contains(&reply.status), "{}: {}", reply.what, reply.text());
    reply.json()
}

/// A run of lifecycle rules, as soon as it has ended.
async fn run(server: &Server, dry_run: bool) -> Value {
    let mut job = ask(server, "/api/v1/storage/lifecycle/run", json!({ "dry_run": dry_run })).await;
    for _ in 0..1200 {
        if job["completed_at"] != Value::Null {
            assert_eq!((&job["status"], &job["failures"]), (&json!("completed"), &json!(0)), "{job}");
            return job;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let path = format!("/api/v1/storage/jobs/{}", job["id"].as_str().unwrap());
        job = server.request(Who::Service, "GET", &path).send().await.expect_status(200).json();
    }
    panic!("the run never ends: {}", server.log());
}

/// How many blobs each provider has, as the metadata say.
async fn blobs(server: &Server) -> Vec<(String, Value)> {
    let all = server.request(Who::Service, "GET", "/api/v1/storage/providers").send().await;
    let all = all.expect_status(200).json();
    let of = |it: &Value| (it["provider"].as_str().unwrap().to_owned(), it["blobs"].clone());
    all.as_array().unwrap().iter().map(of).collect()
}

/// What the server says of an object: all of it stays the same.
async fn info(server: &Server, path: &str) -> Value {
    server.call(ME, "GET", &format!("/object/info/{path}")).send().await.expect_status(200).json()
}

/// What is told of an object's update by a rule, from the first event on. (On PostgreSQL, what is written past the server is told, too.)
async fn told_of(server: &Server, path: &str) -> Value {
    let mut stream = server.call(ME, "GET", "/events?last_event_id=0").start().await;
    let (mut told, path) = (String::new(), json!(path));
    loop {
        let whole = told.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
        let events = whole.lines().filter_map(|line| line.strip_prefix("data: "));
        let mut events = events.map(|data| serde_json::from_str::<Value>(data).unwrap());
        let is_wanted = |event: &Value| event["path"] == path && event["payload"]["reason"] == "lifecycle";
        if let Some(event) = events.find(is_wanted) {
            return event;
        }
        let more = tokio::time::timeout(LONG, stream.chunk()).await;
        let more = more.expect("the stream says nothing").unwrap().expect("the stream goes on");
        told.push_str(std::str::from_utf8(&more).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_bytes_go_to_the_archive_and_are_read_at_the_same_address() {
    let cloud = Cloud::moto();
    let mut settings = cloud.settings(false);
    // Runs are asked for.
    settings.push(("AEROSTORE_LIFECYCLE_ENABLED", "false"));
    let server = Server::start_with(&settings);
    server.bucket(ME, "box", "private").await;
    let bytes = pattern(2_500_000);
    let old = server.call(ME, "PUT", "/object/box/in/old").header("content-type", "text/x-old");
    old.body(bytes.clone()).send().await.expect_status(200);
    server.put(ME, "box/in/inline", pattern(100)).await;
    server.put(ME, "box/elsewhere", pattern(50_000)).await;
    let data = server.stop();
    data.age(40).await;
    let server = Server::start_in(data, &settings);
    server.put(ME, "box/in/young", pattern(60_000)).await;
    expect_on_disk(&server, 3).await;
    let before = info(&server, "box/in/old").await;

    let rule = json!({
        "bucket": "box", "prefix": "in/", "max_age_days": 30, "action": "archive",
        "archive_to": { "provider": "cloud" },
    });
    ask(&server, "/api/v1/storage/lifecycle", rule).await;
    let looked = run(&server, true).await;
    assert_eq!(looked["report"]["totals"]["archived"], 1, "{looked}");
    assert_eq!(looked["report"]["actions"][0]["target"], "cloud", "{looked}");
    assert_eq!(cloud.kept().await.len(), 0, "it only looked");
    let done = run(&server, false).await;
    assert_eq!(done["report"]["totals"]["archived"], 1, "{done}");

    // By the queue: the new one first, then the old one goes.
    expect_on_disk_later(&server, 2).await;
    assert_eq!(cloud.kept().await.len(), 1);
    assert_eq!(blobs(&server).await, [("cloud".to_owned(), json!(1)), ("local".to_owned(), json!(2))]);
    let sql = "SELECT file_name, reason, source_provider, target_provider, status FROM upload_queue";
    let queue = server.call(Who::Service, "POST", "/query").json(&json!({ "sql": sql })).send().await;
    let went = json!([{
        "file_name": "old", "reason": "archive", "source_provider": "local", "target_provider": "cloud",
        "status": "completed",
    }]);
    assert_eq!(queue.expect_status(200).json()["rows"], went);
    assert!(server.content("box/in/old").await.unwrap() == bytes);
    let part = server.call(ME, "GET", "/object/box/in/old").header("range", "bytes=1999990-2000009");
    assert_eq!(part.send().await.expect_status(206).body, bytes[1_999_990..2_000_010]);
    assert_eq!(info(&server, "box/in/old").await, before, "all but its place");
    let event = told_of(&server, "in/old").await;
    let about = (&event["kind"], &event["bucket"], &event["payload"]["archive_provider"]);
    assert_eq!(about, (&json!("storage.object.updated"), &json!("box"), &json!("cloud")), "{event}");

    // There it stays: the next run has nothing to do.
    let again = run(&server, false).await;
    assert_eq!((&again["done"], &again["report"]["totals"]["archived"]), (&json!(0), &json!(0)), "{again}");
    // What is deleted goes from there, and no other.
    server.expect_clean().await;
    server.call(ME, "DELETE", "/object/box/in/old").send().await.expect_status(204);
    crate::life::emptied(&server).await;
    assert_eq!(cloud.kept().await.len(), 0);
    for (path, size) in [("in/inline", 100), ("elsewhere", 50_000), ("in/young", 60_000)] {
        assert_eq!(server.content(&format!("box/{path}")).await.unwrap(), pattern(size), "{path}");
    }
    assert!(!server.log().contains(SECRET));
}

/// Waits until the queue has moved what it is to, and the old copies are gone.
async fn expect_on_disk_later(server: &Server, files: usize) {
    for _ in 0..1200 {
        if server.files_on_disk() == files {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    expect_on_disk(server, files).await;
}
