//! A store whose process is stopped (SIGSTOP): it takes connections, answers nothing, and goes on later where it was.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::outages::told;
use crate::support::{OWNER, Reply, Server, Who, pattern};

const ME: Who = Who::User(OWNER);

/// A first write, or read, that finds the store standing still: `failover_after`, which is 2 s here, and what a busy machine adds.
const FOUND_OUT: Duration = Duration::from_secs(8);

/// Another Aerostore that keeps bytes for tests; nobody else uses it.
async fn store() -> Server {
    let store = Server::start();
    store.bucket(Who::Service, "aerostore", "private").await;
    store
}

async fn put(server: &Server, name: &str, size: usize) -> Reply {
    server.call(ME, "PUT", &format!("/object/box/{name}")).body(pattern(size)).send().await
}

async fn get(server: &Server, name: &str) -> Reply {
    server.call(ME, "GET", &format!("/object/box/{name}")).send().await
}

async fn provider(server: &Server, name: &str) -> Value {
    let all = server.request(Who::Service, "GET", "/api/v1/storage/providers").send().await;
    let all = all.expect_status(200).json();
    all.as_array().unwrap().iter().find(|it| it["provider"] == name).unwrap().clone()
}

/// Waits until a provider is said to have that, and nothing more to delete.
async fn until(server: &Server, name: &str, expected: &[(&str, u64)]) {
    let started = Instant::now();
    loop {
        let it = provider(server, name).await;
        if expected.iter().all(|(field, wanted)| it[*field] == *wanted) && it["pending_deletions"] == 0 {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "{it}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_go_elsewhere_and_come_home_and_reads_have_copies() {
    let store = store().await;
    let cloud = Cloud::aerostore(&store).with("FAILOVER_AFTER", "2s").with("CIRCUIT_BREAKER_TIMEOUT", "1s");
    let mut settings = cloud.settings(true);
    let disk = tempfile::tempdir().unwrap();
    let path = disk.path().display().to_string();
    settings.extend([
        ("AEROSTORE_STORAGE_FAILOVER_PROVIDERS", "local"),
        ("AEROSTORE_STORAGE_BACKUP_PROVIDERS", "copies"),
        ("AEROSTORE_PROVIDERS_COPIES_KIND", "local"),
        ("AEROSTORE_PROVIDERS_COPIES_PATH", &path),
        ("AEROSTORE_CLEANUP_GRACE", "1s"),
    ]);
    let server = Server::start_with(&settings);
    server.bucket(ME, "box", "private").await;
    let mut sizes = vec![("before".to_owned(), 100_000), ("large".to_owned(), 3_000_000)];
    for (name, size) in &sizes {
        put(&server, name, *size).await.expect_status(200);
    }
    until(&server, "copies", &[("copies", 2), ("missing_copies", 0)]).await;
    assert_eq!(server.files_on_disk(), 0);

    // Nobody knows of it yet: who writes finds it out, and from then on nobody waits, whether he writes or reads.
    store.stand_still();
    let started = Instant::now();
    put(&server, "first", 100_000).await.expect_status(200);
    assert!(started.elapsed() < FOUND_OUT, "{:?}", started.elapsed());
    sizes.push(("first".to_owned(), 100_000));
    let started = Instant::now();
    for number in 0..10 {
        let (name, size) = (format!("more-{number}"), 200_000 * (number + 1));
        put(&server, &name, size).await.expect_status(200);
        sizes.push((name, size));
    }
    for (name, size) in &sizes {
        assert!(get(&server, name).await.expect_status(200).body == pattern(*size), "{name}");
    }
    assert!(started.elapsed() < 2 * FOUND_OUT, "nobody waits any more: {:?}", started.elapsed());
    // What is replaced meanwhile, and what is deleted, is so.
    put(&server, "before", 50_000).await.expect_status(200);
    sizes[0].1 = 50_000;
    server.call(ME, "DELETE", "/object/box/large").send().await.expect_status(204);
    sizes.remove(1);
    assert!(get(&server, "before").await.expect_status(200).body == pattern(50_000));
    get(&server, "large").await.expect_status(404);
    server.log_until("failover: new blobs go to another provider").await;
    let health = server.request(Who::Service, "GET", "/api/v1/storage/health").send().await;
    let health = health.expect_status(200).json();
    assert_eq!((&health["status"], &health["provider"]), (&json!("degraded"), &json!("local")), "{health}");

    // What was sent to it arrives there now, long after it was given up.
    store.go_on();
    let all = sizes.len() as u64;
    until(&server, "local", &[("blobs", 0)]).await;
    until(&server, "cloud", &[("blobs", all)]).await;
    until(&server, "copies", &[("copies", all), ("missing_copies", 0)]).await;
    assert_eq!(server.files_on_disk(), 0);
    put(&server, "after", 100_000).await.expect_status(200);
    assert_eq!(server.files_on_disk(), 0, "new ones go there again");
    sizes.push(("after".to_owned(), 100_000));
    for (name, size) in &sizes {
        assert!(get(&server, name).await.expect_status(200).body == pattern(*size), "{name}");
    }
    // Of what arrived there when nobody waited for it any more, nothing stays.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let cleanup = server.request(Who::Service, "POST", "/api/v1/storage/cleanup").send().await;
    let report = cleanup.expect_status(200).json();
    assert_eq!(report["halted"], Value::Null, "{report}");
    let ask = json!({ "prefix": "", "limit": 100 });
    let kept = store.call(Who::Service, "POST", "/object/list-v2/aerostore").json(&ask).send().await;
    let kept = kept.expect_status(200).json();
    // And what says which place it is.
    assert_eq!(kept["objects"].as_array().unwrap().len(), sizes.len() + 1, "{kept} after {report}");
    server.expect_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_finds_it_out_has_the_copy() {
    let store = store().await;
    let cloud = Cloud::aerostore(&store).with("FAILOVER_AFTER", "2s");
    let mut settings = cloud.settings(true);
    settings.push(("AEROSTORE_STORAGE_BACKUP_PROVIDERS", "local"));
    let server = Server::start_with(&settings);
    server.bucket(ME, "box", "private").await;
    put(&server, "a", 100_000).await.expect_status(200);
    until(&server, "local", &[("copies", 1), ("missing_copies", 0)]).await;
    store.stand_still();
    let started = Instant::now();
    assert!(get(&server, "a").await.expect_status(200).body == pattern(100_000));
    assert!(started.elapsed() < FOUND_OUT, "{:?}", started.elapsed());
    let started = Instant::now();
    for _ in 0..10 {
        assert!(get(&server, "a").await.expect_status(200).body == pattern(100_000));
    }
    assert!(started.elapsed() < FOUND_OUT, "only the first one waits: {:?}", started.elapsed());
    server.log_until("served from a copy").await;
    store.go_on();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_stands_by_callers_are_told_when_to_come_back() {
    let store = store().await;
    let cloud = Cloud::aerostore(&store).with("RETRY_ATTEMPTS", "1").with("UPLOAD_TIMEOUT", "1s");
    let cloud = cloud.with("DOWNLOAD_TIMEOUT", "1s").with("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "3");
    let server = cloud.with("CIRCUIT_BREAKER_TIMEOUT", "2s").serve();
    server.bucket(ME, "box", "private").await;
    put(&server, "before", 100_000).await.expect_status(200);
    put(&server, "small", 500).await.expect_status(200);

    store.stand_still();
    told(&get(&server, "before").await.expect_error(504, "OPERATION_TIMEOUT"), "read");
    let started = Instant::now();
    loop {
        let refused = put(&server, "during", 100_000).await;
        if refused.status == 503 {
            told(&refused.expect_error(503, "CIRCUIT_OPEN"), "write");
            break;
        }
        told(&refused.expect_error(504, "OPERATION_TIMEOUT"), "write");
        assert!(started.elapsed() < Duration::from_secs(20), "no circuit opens: {}", server.log());
    }
    told(&get(&server, "before").await.expect_error(503, "CIRCUIT_OPEN"), "read");
    get(&server, "during").await.expect_status(404);
    // What is in the database needs nobody.
    assert!(get(&server, "small").await.expect_status(200).body == pattern(500));

    store.go_on();
    let back = Instant::now();
    while get(&server, "before").await.status != 200 {
        assert!(back.elapsed() < Duration::from_secs(30), "it does not come back: {}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    put(&server, "during", 100_000).await.expect_status(200);
    for name in ["before", "during"] {
        assert!(get(&server, name).await.expect_status(200).body == pattern(100_000), "{name}");
    }
    // Upkeep believes the next look at it.
    while server.request(Who::Service, "GET", "/api/v1/storage/health/cloud").send().await.status != 200 {
        assert!(back.elapsed() < Duration::from_secs(60), "it stays unwell: {}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    server.expect_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_uploads_hold_nobody_up_and_end() {
    let store = store().await;
    let cloud = Cloud::aerostore(&store).with("FAILOVER_AFTER", "2s").with("MAX_CONCURRENT_UPLOADS", "2");
    let mut settings = cloud.settings(true);
    settings.push(("AEROSTORE_STORAGE_FAILOVER_PROVIDERS", "local"));
    let server = Server::start_with(&settings);
    server.bucket(ME, "box", "private").await;
    put(&server, "source", 100_000).await.expect_status(200);

    store.stand_still();
    let started = Instant::now();
    // More than is kept to be sent again (1 MB here), and as many as there are slots.
    let large = async |name| {
        let reply = put(&server, name, 3_000_000).await.expect_error(503, "PROVIDER_UNAVAILABLE");
        assert!(!reply.header("retry-after").is_empty(), "{}", reply.text());
    };
    // The large ones have the slots by then.
    let later = async || tokio::time::sleep(Duration::from_secs(1)).await;
    let small = async {
        later().await;
        put(&server, "small", 100_000).await.expect_status(200);
    };
    let copy = async {
        later().await;
        let body = json!({ "bucketId": "box", "sourceKey": "source", "destinationKey": "copy" });
        let reply = server.call(ME, "POST", "/object/copy").json(&body).send().await;
        assert!(matches!(reply.status, 503 | 504), "{} {}", reply.status, reply.text());
    };
    tokio::join!(large("one"), large("two"), small, copy);
    assert!(started.elapsed() < 4 * FOUND_OUT, "{:?}", started.elapsed());
    put(&server, "one", 3_000_000).await.expect_status(200);
    assert!(get(&server, "small").await.expect_status(200).body == pattern(100_000));
    store.go_on();
    until(&server, "local", &[("blobs", 0)]).await;
    assert!(get(&server, "one").await.expect_status(200).body == pattern(3_000_000));
}
