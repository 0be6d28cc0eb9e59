//! Health, readiness, metrics, and routes that are not there.

use std::collections::HashMap;
use std::fs;

use file_storage::Role;
use futures_util::stream::{self, StreamExt};
use serde_json::Value;

use crate::support::TestServer;

#[tokio::test]
async fn readiness_follows_the_disk_and_says_no_secrets() {
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    assert_eq!(server.get("/readyz", None).await.0, 200);
    for folder in ["blobs", "staging"] {
        fs::rename(data_dir.path().join(folder), data_dir.path().join(format!("{folder}-gone"))).unwrap();
        fs::write(data_dir.path().join(folder), "no directory").unwrap();
    }
    // An answer stands for a second.
    let not_ready = async {
        loop {
            let (status, body) = server.get("/readyz", None).await;
            if status != 200 {
                return (status, body);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let (status, body) = tokio::time::timeout(std::time::Duration::from_secs(20), not_ready).await.unwrap();
    assert_eq!(status, 503);
    assert_eq!(body, "not ready; see the server's log\n");
    assert_eq!(server.get("/healthz", None).await.0, 200, "the process itself is well");
}

#[tokio::test]
async fn metrics_are_for_whom_the_configuration_says() {
    let cases = [("anyone", [200, 200, 200]), ("loopback", [200, 200, 200]), ("service", [401, 403, 200])];
    for (access, expected) in cases {
        let data_dir = tempfile::tempdir().unwrap();
        let server = TestServer::start(data_dir.path(), &[("metrics.access", access)]).await;
        let (user, service) = (server.token(Role::Authenticated), server.token(Role::ServiceRole));
        for (token, expected) in [None, Some(&*user), Some(&*service)].into_iter().zip(expected) {
            assert_eq!(server.get("/metrics", token).await.0, expected, "{access}");
        }
    }
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    let url = format!("http://{}/metrics", server.address);
    let through_a_proxy =
        server.client.get(url).header("x-forwarded-for", "203.0.113.9").send().await.unwrap();
    assert_eq!(through_a_proxy.status(), 401, "a proxy on this machine makes nobody local");
}

#[tokio::test]
async fn metrics_are_described_and_name_the_process() {
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    server.get("/readyz", None).await;
    let (_, text) = server.get("/metrics", None).await;
    for line in [
        "# TYPE storage_backend_latency_seconds histogram",
        r#"storage_backend_latency_seconds_count{operation="probe",backend="local"} 1"#,
        r#"http_request_duration_seconds_count{operation="readyz",status="2xx"} 1"#,
        "# TYPE process_resident_memory_bytes gauge",
        "http_connections 1",
        concat!(r#"aerostore_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
    ] {
        assert!(text.lines().any(|have| have == line), "{line}\nin\n{text}");
    }
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        let name = line.split(' ').nth(2).unwrap();
        assert!(text.contains(&format!("# HELP {name} ")), "{name} is not described");
    }
}

/// What `GET /api/v1/storage/metrics` says of an operation.
async fn requests(server: &TestServer, operation: &str) -> Option<Value> {
    let service = server.token(Role::ServiceRole);
    let (status, text) = server.get("/api/v1/storage/metrics", Some(&service)).await;
    assert_eq!(status, 200, "{text}");
    let metrics: Value = serde_json::from_str(&text).unwrap();
    let found = metrics["requests"].as_array().unwrap().iter().find(|row| row["operation"] == operation);
    found.cloned()
}

#[tokio::test]
async fn metrics_in_json_count_until_they_are_reset_and_prometheus_goes_on() {
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    for _ in 0..20 {
        server.get("/healthz", None).await;
    }
    let row = requests(&server, "healthz").await.unwrap();
    let at = |key: &str| row[key].as_f64().unwrap();
    assert_eq!((&row["count"], &row["failed"]), (&20.into(), &0.into()), "{row}");
    assert!(0.0 < at("p50_ms") && at("p50_ms") <= at("p95_ms") && at("p95_ms") <= at("p99_ms"), "{row}");

    let service = server.token(Role::ServiceRole);
    let url = format!("http://{}/api/v1/storage/metrics/reset", server.address);
    let reset = server.client.post(url).bearer_auth(&service).send().await.unwrap();
    assert_eq!(reset.status(), 200);
    let since = reset.json::<Value>().await.unwrap();
    let exact = "2026-11-21T05:00:00.123456Z".len();
    assert!(since["since"].as_str().unwrap().len() <= exact, "in microseconds: {since}");
    assert_eq!(requests(&server, "healthz").await, None, "nothing since");
    server.get("/healthz", None).await;
    assert_eq!(requests(&server, "healthz").await.unwrap()["count"], 1);
    let (_, text) = server.get("/metrics", None).await;
    let line = r#"http_request_duration_seconds_count{operation="healthz",status="2xx"} 21"#;
    assert!(text.lines().any(|have| have == line), "{text}");
}

#[tokio::test]
async fn disks_buckets_and_users_are_measured_from_the_start_on() {
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    let user = server.token(Role::Authenticated);
    let post = |path: &str| {
        server.client.post(format!("http://{}/storage/v1{path}", server.address)).bearer_auth(&user)
    };
    let made = post("/bucket").json(&serde_json::json!({ "name": "photos" })).send().await.unwrap();
    assert_eq!(made.status(), 201);
    assert_eq!(post("/object/photos/a").body("hello").send().await.unwrap().status(), 201);
    server.stop().await;

    let server = TestServer::start(data_dir.path(), &[("metrics.usage_per_user", "true")]).await;
    let per_user = r#"storage_user_usage_bytes{user="00000000-0000-0000-0000-000000000007"} 5"#;
    let measured = async {
        loop {
            let (_, text) = server.get("/metrics", None).await;
            if text.contains(per_user) && text.contains("storage_disk_free_bytes{") {
                return text;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let text = tokio::time::timeout(std::time::Duration::from_secs(20), measured).await.unwrap();
    for start in [r#"storage_usage_bytes{bucket="photos"} 5"#, r#"storage_disk_size_bytes{place="blobs"} "#] {
        assert!(text.lines().any(|line| line.starts_with(start)), "{start}\nin\n{text}");
    }
}

/// Bytes by bucket, as metrics tell them.
fn usage_of(text: &str) -> HashMap<&str, u64> {
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("storage_usage_bytes{bucket=\"")?.split_once("\"} "));
    let usage: Vec<_> = rows.map(|(bucket, bytes)| (bucket, bytes.parse().unwrap())).collect();
    let by_bucket: HashMap<_, _> = usage.iter().copied().collect();
    assert_eq!(usage.len(), by_bucket.len(), "a label is told twice");
    by_bucket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_of_more_buckets_than_one_page_of_them_are_bounded_and_say_what_is_left() {
    const BUCKETS: u64 = 1050;
    const FILLED: u64 = 150;
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    let service = server.token(Role::ServiceRole);
    let post = |path: String| {
        server.client.post(format!("http://{}/storage/v1{path}", server.address)).bearer_auth(&service)
    };
    // The last ones by name, on the second page, have most; one is called as what is left is.
    let name = |number: u64| if number == 0 { "other".to_owned() } else { format!("bucket-{number:04}") };
    let size = |number: u64| if number == 0 { 7 } else { (number + FILLED).saturating_sub(BUCKETS) };
    let made = (0..BUCKETS).map(|number| {
        let (post, name) = (&post, name(number));
        async move {
            let made =
                post("/bucket".to_owned()).json(&serde_json::json!({ "name": name })).send().await.unwrap();
            assert_eq!(made.status(), 201);
            if size(number) > 0 {
                let bytes = vec![1_u8; size(number) as usize];
                let put = post(format!("/object/{name}/a")).body(bytes).send().await.unwrap();
                assert_eq!(put.status(), 201);
            }
        }
    });
    stream::iter(made).buffer_unordered(16).collect::<()>().await;
    // Counters of uploads, too, have no more labels than a hundred, and one for all others.
    let (_, text) = server.get("/metrics", None).await;
    let of_uploads = |line: &&str| line.starts_with("storage_upload_total{") && line.contains("success");
    let uploads: Vec<_> = text.lines().filter(of_uploads).collect();
    let counted: u64 =
        uploads.iter().map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
    assert!(uploads.len() <= 101, "{}", uploads.len());
    assert_eq!(counted, FILLED, "{uploads:?}");
    server.stop().await;

    let server = TestServer::start(data_dir.path(), &[]).await;
    let measured = async {
        loop {
            let (_, text) = server.get("/metrics", None).await;
            if usage_of(&text).len() > 100 {
                return text;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let text = tokio::time::timeout(std::time::Duration::from_secs(60), measured).await.unwrap();
    let usage = usage_of(&text);
    assert_eq!(usage.len(), 101);
    assert_eq!(
        usage.values().sum::<u64>(),
        (0..BUCKETS).map(size).sum::<u64>(),
        "nothing is left out of the sum"
    );
    assert_eq!(usage.get("bucket-1049"), Some(&(FILLED - 1)));
    let least =
        usage.iter().filter(|(bucket, _)| **bucket != "other").map(|(_, bytes)| *bytes).min().unwrap();
    assert_eq!((least, usage["other"]), (FILLED - 100, (1..FILLED - 100).sum::<u64>() + 7));
    assert!(text.len() < 200_000, "{}", text.len());
}

#[tokio::test]
async fn a_route_that_is_not_there_is_a_404_in_json() {
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    let (status, body) = server.get("/nowhere?token=hidden", None).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["statusCode"]), (404, &Value::from("404")));
    assert_eq!(body["message"], "Route GET:/nowhere not found");
    assert_eq!(body["request_id"].as_str().unwrap().len(), 16);
}
