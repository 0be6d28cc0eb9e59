//! How providers are: seen without a request of a user's, told to operators alone, and waited for by nobody.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cloud::{Cloud, SECRET};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::support::{OWNER, Server, Who, pattern};

const ME: Who = Who::User(OWNER);

/// Shorter than a look at a provider that hangs, and long enough for a busy machine.
const LOOK: Duration = Duration::from_secs(9);

/// A server that looks at its provider, which is behind a proxy, each second.
async fn watched(active: bool) -> (FaultProxy, Server) {
    let proxy = FaultProxy::before(&Cloud::moto().endpoint).await;
    let cloud = Cloud::s3(proxy.address()).with("HEALTH_CHECK_INTERVAL", "1s");
    let cloud = cloud.with("CIRCUIT_BREAKER_TIMEOUT", "1s").with("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "3");
    let server = Server::start_with(&cloud.settings(active));
    (proxy, server)
}

async fn get(server: &Server, path: &str) -> (u16, Value) {
    let answer = server.request(Who::Service, "GET", path).send().await;
    (answer.status, answer.json())
}

/// Waits until the provider is said to be so.
async fn until(server: &Server, expected: u16) -> Value {
    for _ in 0..500 {
        let (status, health) = get(server, "/api/v1/storage/health/cloud").await;
        assert_eq!(health["healthy"], json!(status == 200), "{health}");
        if status == expected {
            return health;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {}", server.log());
}

async fn ready(server: &Server) -> u16 {
    server.request(Who::Anon, "GET", "/readyz").send().await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_seen_and_so_is_its_end() {
    let (proxy, server) = watched(true).await;
    let health = until(&server, 200).await;
    assert!(health["latency"].as_f64().unwrap() > 0.0, "{health}");
    assert_eq!((&health["provider"], &health["circuit"]), (&json!("cloud"), &json!("closed")), "{health}");
    assert_eq!(ready(&server).await, 200);

    proxy.otherwise(Fault::Answer(503));
    let health = until(&server, 503).await;
    assert_eq!(health["error"], "write failed for now: the store answered 503", "{health}");
    server.log_until("provider is unhealthy").await;
    server.log_until("circuit opened").await;
    let (status, all) = get(&server, "/api/v1/storage/health").await;
    assert_eq!((status, &all["status"]), (503, &json!("unavailable")), "{all}");
    // An answer of readiness stands for a second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(ready(&server).await, 503);
    for who in [Who::User(OWNER), Who::Anon] {
        for path in ["/api/v1/storage/health", "/api/v1/storage/health/cloud"] {
            let refused = server.request(who, "GET", path).send().await;
            assert!(matches!(refused.status, 401 | 403), "{}", refused.status);
            assert!(!refused.text().contains("the store"), "{}", refused.text());
        }
    }

    proxy.otherwise(Fault::Pass);
    until(&server, 200).await;
    server.log_until("provider is healthy again").await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(ready(&server).await, 200);
    assert!(!server.log().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_provider_that_does_not_answer() {
    let (proxy, server) = watched(true).await;
    until(&server, 200).await;
    server.bucket(ME, "box", "private").await;
    server.put(ME, "box/a", pattern(20_000)).await;
    server.put(ME, "box/b", pattern(30_000)).await;
    proxy.otherwise(Fault::Stall);
    let probes = proxy.count("PUT");
    while proxy.count("PUT") == probes {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // A probe hangs. What is asked meanwhile tells what was known before it.
    let started = Instant::now();
    assert_eq!(ready(&server).await, 200);
    assert_eq!(get(&server, "/api/v1/storage/health").await.0, 200);
    assert!(started.elapsed() < LOOK, "{:?}", started.elapsed());
    let health = until(&server, 503).await;
    assert_eq!(health["error"], "probe took longer than 10s", "{health}");

    // Nor does anybody from now on: for a copy, for a deletion, or for what upkeep does.
    let started = Instant::now();
    let copy = json!({ "bucketId": "box", "sourceKey": "a", "destinationKey": "copy" });
    let copied = server.call(ME, "POST", "/object/copy").json(&copy).send().await;
    assert!(matches!(copied.json()["code"].as_str(), Some("PROVIDER_UNAVAILABLE" | "CIRCUIT_OPEN")));
    assert!(copied.expect_status(503).json()["retry_after"].as_u64().unwrap() >= 1);
    server.call(ME, "DELETE", "/object/box/b").send().await.expect_status(204);
    let cleanup = server.request(Who::Service, "POST", "/api/v1/storage/cleanup").send().await;
    let report = cleanup.expect_status(200).json();
    let halted = report["halted"].as_str().unwrap_or_default();
    assert!(halted.contains("the provider 'cloud' is not healthy: probe took longer"), "{report}");
    assert_eq!(report["pending_deletions"], 1, "{report}");
    assert!(started.elapsed() < LOOK, "{:?}", started.elapsed());
    proxy.otherwise(Fault::Pass);
    until(&server, 200).await;
    server.call(ME, "POST", "/object/copy").json(&copy).send().await.expect_status(200);
    for _ in 0..300 {
        let report = server.request(Who::Service, "GET", "/api/v1/storage/cleanup").send().await;
        if report.expect_status(200).json()["pending_deletions"] == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the deletion is not made up for: {}", server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upkeep_finds_out_by_a_look_that_a_provider_stands_still() {
    let proxy = FaultProxy::before(&Cloud::moto().endpoint).await;
    let server = Cloud::s3(proxy.address()).serve();
    until(&server, 200).await;
    server.bucket(ME, "box", "private").await;
    server.put(ME, "box/a", pattern(20_000)).await;
    let cleanup = async || {
        let started = Instant::now();
        let report = server.request(Who::Service, "POST", "/api/v1/storage/cleanup").send().await;
        (report.expect_status(200).json(), started.elapsed())
    };
    assert_eq!(cleanup().await.0["halted"], Value::Null);
    // Nobody looks at it again within five minutes, and nobody asks it for anything.
    proxy.otherwise(Fault::Stall);
    let (report, took) = cleanup().await;
    let halted = report["halted"].as_str().unwrap_or_default();
    assert!(halted.contains("the provider 'cloud' is not healthy: probe took longer than 10s"), "{report}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    // And everybody knows.
    let (report, took) = cleanup().await;
    assert!(report["halted"].is_string() && took < Duration::from_secs(3), "{took:?}: {report}");
    assert_eq!(get(&server, "/api/v1/storage/health/cloud").await.0, 503);
    proxy.otherwise(Fault::Pass);
    until(&server, 200).await;
    assert_eq!(cleanup().await.0["halted"], Value::Null);
    server.expect_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_takes_nothing_new_leaves_the_server_ready() {
    let (proxy, server) = watched(false).await;
    until(&server, 200).await;
    proxy.otherwise(Fault::Drop);
    until(&server, 503).await;
    let (status, all) = get(&server, "/api/v1/storage/health").await;
    assert_eq!(
        (status, &all["status"], &all["provider"]),
        (200, &json!("degraded"), &json!("local")),
        "{all}"
    );
    assert_eq!(all["providers"].as_array().unwrap().len(), 2, "{all}");
    assert_eq!(ready(&server).await, 200);
}
