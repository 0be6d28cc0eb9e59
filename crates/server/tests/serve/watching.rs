//! Health, readiness, metrics, and routes that are not there.

use std::fs;

use file_storage::Role;
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
