//! An outage of the active provider under load: the disk stands by, nobody's upload fails, and all is told afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cloud::{Cloud, SECRET};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::life::emptied;
use crate::support::{OWNER, Server, Who, pattern};

const ME: Who = Who::User(OWNER);
const CLIENTS: usize = 32;

/// How long the outage lasts. The issue's 60 s: `AEROSTORE_OUTAGE=60`.
fn outage() -> Duration {
    let asked = std::env::var("AEROSTORE_OUTAGE").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(asked.unwrap_or(8))
}

/// What a client saw.
#[derive(Default)]
struct Seen {
    uploads: AtomicUsize,
    failed: AtomicUsize,
    /// Milliseconds that the slowest upload took.
    slowest: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_under_load_costs_no_upload() {
    let moto = Cloud::moto();
    let proxy = FaultProxy::before(&moto.endpoint).await;
    // Its defaults: retries after 1 and 2 s, five uploads at once.
    let cloud =
        Cloud::s3(proxy.address()).with("RETRY_INITIAL_DELAY", "1s").with("HEALTH_CHECK_INTERVAL", "1s");
    let cloud = cloud.with("CIRCUIT_BREAKER_TIMEOUT", "2s");
    let mut settings = cloud.settings(true);
    settings.push(("AEROSTORE_STORAGE_FAILOVER_PROVIDERS", "local"));
    let server = Arc::new(Server::start_with(&settings));
    server.bucket(ME, "box", "private").await;

    let (seen, stop) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| tokio::spawn(upload_until_told(client, server.clone(), seen.clone(), stop.clone())))
        .collect();
    let uploads = || seen.uploads.load(Ordering::SeqCst);
    while uploads() < 2 * CLIENTS {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.files_on_disk(), 0);
    proxy.otherwise(Fault::Drop);
    tokio::time::sleep(outage()).await;
    assert!(server.files_on_disk() > 0);
    let (status, health) = health(&server).await;
    assert_eq!((status, &health["status"], &health["provider"]), (200, &json!("degraded"), &json!("local")));
    proxy.otherwise(Fault::Pass);
    let back = Instant::now();
    while self::health(&server).await.1["provider"] != "cloud" {
        assert!(back.elapsed() < Duration::from_secs(20), "{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let during = uploads();
    while uploads() < during + 2 * CLIENTS {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }

    assert_eq!(seen.failed.load(Ordering::SeqCst), 0, "of {} uploads: {}", uploads(), server.log());
    let slowest = seen.slowest.load(Ordering::SeqCst);
    assert!(slowest < 6000, "an upload took {slowest} ms");
    // Every file has the bytes that its client was told are kept, wherever they are.
    for client in 0..CLIENTS {
        let kept = server.content(&format!("box/{client}")).await.unwrap();
        let number = usize::from(kept[0]);
        assert!(kept == content(client, number), "client {client}");
    }
    server.log_until("failover: new blobs go to another provider").await;
    let metrics = server.request(Who::Service, "GET", "/metrics").send().await.text();
    for line in [
        r#"storage_failover_total{from="cloud",to="local"}"#,
        r#"storage_failover_total{from="local",to="cloud"}"#,
        r#"storage_backend_healthy{backend="cloud"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(!server.log().contains(SECRET));
    emptied(&server).await;
}

/// What a client sends the nth time.
fn content(client: usize, number: usize) -> Vec<u8> {
    let mut bytes = pattern(50_000 + client);
    bytes[0] = number as u8;
    bytes
}

async fn upload_until_told(client: usize, server: Arc<Server>, seen: Arc<Seen>, stop: Arc<AtomicBool>) {
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let started = Instant::now();
        let body = content(client, number);
        let answer = server.call(ME, "PUT", &format!("/object/box/{client}")).body(body).send().await;
        seen.slowest.fetch_max(started.elapsed().as_millis() as usize, Ordering::SeqCst);
        if answer.status == 200 || answer.status == 201 {
            seen.uploads.fetch_add(1, Ordering::SeqCst);
        } else {
            seen.failed.fetch_add(1, Ordering::SeqCst);
        }
    }
}

async fn health(server: &Server) -> (u16, serde_json::Value) {
    let answer = server.request(Who::Service, "GET", "/api/v1/storage/health").send().await;
    (answer.status, answer.json())
}
