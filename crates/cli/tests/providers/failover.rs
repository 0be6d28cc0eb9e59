//! An outage of the active provider under load: the disk stands by, nobody's upload fails, and all is told afterwards.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

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
    /// When the provider failed.
    failing: OnceLock<Instant>,
    /// Milliseconds from then until an upload succeeded that was begun after it.
    found: OnceLock<u128>,
}

impl Seen {
    fn ended(&self, started: Instant, is_kept: bool) {
        self.slowest.fetch_max(started.elapsed().as_millis() as usize, Ordering::SeqCst);
        let counter = if is_kept { &self.uploads } else { &self.failed };
        counter.fetch_add(1, Ordering::SeqCst);
        if let Some(failing) = self.failing.get().filter(|failing| is_kept && started >= **failing) {
            let _first = self.found.set(failing.elapsed().as_millis());
        }
    }
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
    seen.failing.set(Instant::now()).unwrap();
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

    let (failed, found) = (seen.failed.load(Ordering::SeqCst), *seen.found.get().unwrap());
    let slowest = seen.slowest.load(Ordering::SeqCst);
    eprintln!(
        "{CLIENTS} clients, {:?} of outage: {} uploads, {failed} failed, the slowest took {slowest} ms, the first one of the \
         outage was kept {found} ms after its beginning",
        outage(),
        uploads()
    );
    // More than 99.9% succeed. Of bodies as small as these, all do.
    assert_eq!(failed, 0, "of {} uploads: {}", uploads(), server.log());
    assert!(found < 5000, "the first upload of the outage took {found} ms");
    assert!(slowest < 6000, "an upload took {slowest} ms");
    until_home(&server).await;
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
    tells_of_both_switches(&server).await;
    assert!(!server.log().contains(SECRET));
    emptied(&server).await;
    assert_eq!(server.files_on_disk(), 0);
}

/// Waits until nothing is on the disk any more that belongs to the cloud.
async fn until_home(server: &Server) {
    let mut kept = Value::Null;
    for _ in 0..1200 {
        let all = server.request(Who::Service, "GET", "/api/v1/storage/providers").send().await;
        kept = all.expect_status(200).json();
        let disk = kept.as_array().unwrap().iter().find(|it| it["provider"] == "local");
        if disk.is_none_or(|disk| disk["blobs"] == 0 && disk["pending_deletions"] == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not all comes home: {kept}\n{}", server.log());
}

/// Events of providers, as somebody is told them. They end where an upload is told of that comes after them all.
async fn provider_events(server: &Server, who: Who) -> Vec<Value> {
    server.put(ME, "box/last", b"last".to_vec()).await;
    let wanted = "type=storage.object.created,storage.provider.failed_over,storage.provider.recovered";
    let mut response = server.call(who, "GET", &format!("/events?last_event_id=0&{wanted}")).start().await;
    let (mut text, mut events) = (String::new(), Vec::new());
    while let Some(chunk) = response.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
        while let Some((event, rest)) = text.split_once("\n\n") {
            let data = event.lines().find_map(|line| line.strip_prefix("data: "));
            let data: Option<Value> = data.map(|data| serde_json::from_str(data).unwrap());
            text = rest.to_owned();
            match data {
                Some(data) if data["path"] == "last" => return events,
                Some(data) if data["bucket"].is_null() => events.push(data),
                _ => {}
            }
        }
    }
    panic!("the stream ended");
}

/// The service is told there and back; whoever uploaded is told neither.
async fn tells_of_both_switches(server: &Server) {
    let events = provider_events(server, Who::Service).await;
    let [there, back] = &events[..] else { panic!("{events:#?}") };
    assert_eq!(
        (&there["kind"], &there["payload"]["from"], &there["payload"]["to"]),
        (&json!("storage.provider.failed_over"), &json!("cloud"), &json!("local"))
    );
    assert!(there["payload"]["reason"].is_string(), "{there}");
    assert_eq!(back["kind"], "storage.provider.recovered");
    assert_eq!(back["payload"], json!({ "provider": "cloud", "from": "local" }));
    server.call(ME, "DELETE", "/object/box/last").send().await.expect_status(204);
    assert_eq!(provider_events(server, ME).await, [Value::Null; 0]);
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
        seen.ended(started, answer.status == 200 || answer.status == 201);
    }
}

async fn health(server: &Server) -> (u16, Value) {
    let answer = server.request(Who::Service, "GET", "/api/v1/storage/health").send().await;
    (answer.status, answer.json())
}
