//! Health, readiness, metrics, and routes that are not there.

use std::collections::HashMap;
use std::fs;

use file_storage::Role;
use file_storage::executor::snapshot::Database;
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
async fn a_server_that_is_to_stop_is_not_ready_and_serves_on() {
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    assert_eq!(server.get("/readyz", None).await.0, 200);
    server.drain();
    let told = async {
        while server.get("/readyz", None).await != (503, "stopping\n".to_owned()) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), told).await.unwrap();
    // A connection of its own: new ones are taken, too.
    let fresh = reqwest::Client::new();
    let made = fresh
        .post(format!("http://{}/storage/v1/bucket", server.address))
        .bearer_auth(server.token(Role::Authenticated))
        .json(&serde_json::json!({ "name": "photos" }))
        .send();
    assert_eq!(made.await.unwrap().status(), 201);
    server.stop().await;
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

/// Prometheus sees no increase in a figure that comes to be with its first event.
#[tokio::test]
async fn jobs_that_fail_have_figures_before_one_does() {
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    let there = async {
        loop {
            let (_, text) = server.get("/metrics", None).await;
            let failed =
                |kind: &str| format!(r#"storage_jobs_ended_total{{kind="{kind}",status="failed"}} 0"#);
            if ["scrub", "adopt", "delete_folder"].iter().all(|kind| text.contains(&failed(kind))) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), there).await.unwrap();
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
    let named = serde_json::json!({ "name": "photos", "quota_bytes": 100 });
    let made = post("/bucket").json(&named).send().await.unwrap();
    assert_eq!(made.status(), 201);
    let made = post("/bucket").json(&serde_json::json!({ "name": "unlimited" })).send().await.unwrap();
    assert_eq!(made.status(), 201);
    assert_eq!(post("/object/photos/a").body("hello").send().await.unwrap().status(), 201);
    server.stop().await;

    let more = [("metrics.usage_per_user", "true"), ("quotas.global", "1000")];
    let server = TestServer::start(data_dir.path(), &more).await;
    let per_user = r#"storage_user_usage_bytes{user="00000000-0000-0000-0000-000000000007"} 5"#;
    let wanted = [
        per_user,
        r#"storage_usage_bytes{bucket="photos"} 5"#,
        r#"storage_disk_size_bytes{place="blobs"} "#,
        r#"storage_disk_free_bytes{place="blobs"} "#,
        r#"storage_quota_used_bytes{scope="bucket",bucket="photos"} 5"#,
        r#"storage_quota_limit_bytes{scope="bucket",bucket="photos"} 100"#,
        r#"storage_quota_used_bytes{scope="global",bucket=""} 5"#,
        r#"storage_quota_limit_bytes{scope="global",bucket=""} 1000"#,
        // Where tests share a process, another one's server may have told it last.
        "storage_quota_fullest_ratio ",
    ];
    let began = std::time::Instant::now();
    let text = loop {
        let (_, text) = server.get("/metrics", None).await;
        let is_missing = |start: &&&str| !text.lines().any(|line| line.starts_with(**start));
        let Some(missing) = wanted.iter().find(is_missing) else { break text };
        assert!(began.elapsed().as_secs() < 20, "{missing}\nin\n{text}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert!(!text.contains(r#"storage_quota_limit_bytes{scope="bucket",bucket="unlimited"}"#), "{text}");
}

#[tokio::test]
async fn what_waits_for_its_deletion_the_database_and_the_last_backup_are_told() {
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    let user = server.token(Role::Authenticated);
    let at = |path: &str| format!("http://{}/storage/v1{path}", server.address);
    let made = server.client.post(at("/bucket")).bearer_auth(&user);
    let made = made.json(&serde_json::json!({ "name": "photos" })).send().await.unwrap();
    assert_eq!(made.status(), 201);
    let put = server.client.post(at("/object/photos/a")).bearer_auth(&user);
    assert_eq!(put.body(vec![1_u8; 50_000]).send().await.unwrap().status(), 201);
    // As a backup does: nothing is deleted meanwhile.
    let database = Database::Sqlite(data_dir.path().join("metadata.sqlite"));
    let hold = database.hold_blobs().await.unwrap();
    let gone = server.client.delete(at("/object/photos/a")).bearer_auth(&user).send().await.unwrap();
    assert!(gone.status().is_success());
    server.stop().await;
    let last = r#"{"created_at": "2026-01-02T03:04:05Z", "to": "/backup", "lost_blobs": 0}"#;
    fs::write(data_dir.path().join("last-backup.json"), last).unwrap();

    let server = TestServer::start(data_dir.path(), &[]).await;
    let lines = [
        "storage_database_up 1",
        "storage_deletions_pending 1",
        "storage_last_backup_timestamp_seconds 1767323045",
    ];
    let measured = async {
        loop {
            let (_, text) = server.get("/metrics", None).await;
            let is_there = |line: &&str| text.lines().any(|have| have == *line);
            if lines.iter().all(is_there) && text.contains("storage_deletions_oldest_seconds ") {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), measured).await.unwrap();
    drop(hold);
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

/// Waits until a figure of lists from memory is so much.
async fn lists_until(server: &TestServer, token: &str, figure: &str, least: u64) {
    let is_so = async {
        loop {
            let (_, metrics) = server.get("/api/v1/storage/metrics", Some(token)).await;
            let metrics: Value = serde_json::from_str(&metrics).unwrap();
            if metrics["cache"][figure].as_u64().unwrap() >= least {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), is_so).await.unwrap();
}

#[tokio::test]
async fn lists_are_read_ahead_after_a_change_and_after_a_start_and_counted() {
    let data_dir = tempfile::tempdir().unwrap();
    let file = data_dir.path().join("lists-asked-for.json");
    let server = TestServer::start(data_dir.path(), &[("cache.warm", "4")]).await;
    let service = server.token(Role::ServiceRole);
    let url = |server: &TestServer, path: &str| format!("http://{}/storage/v1/{path}", server.address);
    let made = server.client.post(url(&server, "bucket")).bearer_auth(&service);
    let made = made.json(&serde_json::json!({ "name": "docs" })).send().await.unwrap();
    assert_eq!(made.status(), 201);
    let list = async |server: &TestServer| {
        let asked = server.client.post(url(server, "object/list/docs")).bearer_auth(&service);
        let listed = asked.json(&serde_json::json!({ "prefix": "" })).send().await.unwrap();
        assert_eq!(listed.status(), 200);
        listed.text().await.unwrap()
    };
    for _ in 0..3 {
        list(&server).await;
    }
    let put = server.client.post(url(&server, "object/docs/a")).bearer_auth(&service).body("1");
    assert_eq!(put.send().await.unwrap().status(), 201);
    lists_until(&server, &service, "warmed", 1).await;
    let (_, text) = server.get("/metrics", None).await;
    assert!(text.lines().any(|line| line == "storage_cache_warmed_total 1"), "{text}");
    assert!(list(&server).await.contains("\"a\""));
    lists_until(&server, &service, "hits", 2).await;
    server.stop().await;
    let noted = fs::read_to_string(&file).unwrap();
    assert!(noted.contains("service_role") && !noted.contains(&service), "{noted}");

    let server = TestServer::start(data_dir.path(), &[("cache.warm", "4")]).await;
    lists_until(&server, &service, "warmed", 2).await;
    assert!(list(&server).await.contains("\"a\""));
    lists_until(&server, &service, "hits", 3).await;
    server.stop().await;
    // Where none are wanted, nothing is known.
    TestServer::start(data_dir.path(), &[("cache.warm", "0")]).await.stop().await;
    assert!(!file.exists());
}

#[tokio::test]
async fn an_audit_log_that_cannot_be_written_shows_in_health_and_reads_go_on() {
    let data_dir = tempfile::tempdir().unwrap();
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("audit");
    let settings = [("audit.directory", directory.to_str().unwrap())];
    let server = TestServer::start(data_dir.path(), &settings).await;
    let service = server.token(Role::ServiceRole);
    let health = async || {
        let (status, text) = server.get("/api/v1/storage/health", Some(&service)).await;
        (status, serde_json::from_str::<Value>(&text).unwrap())
    };
    let make = async |name: &str| {
        let url = format!("http://{}/storage/v1/bucket", server.address);
        let asked = serde_json::json!({ "name": name });
        server.client.post(url).bearer_auth(&service).json(&asked).send().await.unwrap().status().as_u16()
    };
    assert_eq!(make("before").await, 201);
    assert_eq!(health().await.1["status"], "ok");
    let measured = async {
        while !server.get("/metrics", None).await.1.contains(r#"storage_disk_free_bytes{place="audit"}"#) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), measured).await.unwrap();
    let is_told = async |line: &str| server.get("/metrics", None).await.1.lines().any(|have| have == line);
    assert!(is_told("storage_audit_failing 0").await && is_told("storage_audit_lines_total 1").await);
    fs::remove_dir_all(&directory).unwrap();
    assert_eq!(make("meanwhile").await, 503);
    assert!(is_told("storage_audit_failing 1").await);
    let (status, said) = health().await;
    assert_eq!((status, &said["status"]), (200, &"degraded".into()), "{said}");
    assert!(said["problem"].as_str().unwrap().contains("audit log"), "{said}");
    assert_eq!(server.get("/readyz", None).await.0, 200, "reads go on");
    fs::create_dir(&directory).unwrap();
    let well = async {
        while health().await.1["status"] != "ok" {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), well).await.unwrap();
    assert!(is_told("storage_audit_failing 0").await);
    assert_eq!(make("after").await, 201);
}
