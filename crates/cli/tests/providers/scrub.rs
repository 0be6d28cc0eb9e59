//! A cloud that loses and changes what it was given, while the disk keeps copies: the command line finds it, and has it repaired.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cloud::{Cloud, SECRET};
use crate::copies::until_copied;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::support::{OWNER, Server, Who, pattern};

/// moto compares no signature, but wants one to be there.
const LIKE_SIGNED: &str =
    "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

const ME: Who = Who::User(OWNER);

pub(crate) fn scrub(server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aerostore"));
    command.args(["scrub", "--json"]).args(arguments).stdin(Stdio::null());
    command.env("AEROSTORE_URL", format!("http://{}", server.address));
    command.env("AEROSTORE_TOKEN", server.key("service_key")).output().unwrap()
}

#[track_caller]
pub(crate) fn expect(output: &Output, code: i32) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    serde_json::from_str(&out).unwrap()
}

/// Files in the cloud, and copies of them on the disk.
async fn filled(settings: &[(&str, &str)]) -> Server {
    let server = Server::start_with(settings);
    server.bucket(ME, "box", "private").await;
    for number in 0..4 {
        server.put(ME, &format!("box/{number}"), pattern(20_000 + number)).await;
    }
    until_copied(&server, "local", 4).await;
    server
}

/// Behind the server's back, the cloud loses a blob and changes another one.
async fn harm(cloud: &Cloud) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let names = cloud.kept().await;
    let url = |name: &str| format!("{}/aerostore/{name}", cloud.endpoint);
    let lost = client.delete(url(&names[0])).header("authorization", LIKE_SIGNED).send().await.unwrap();
    assert!(lost.status().is_success(), "{lost:?}");
    let changed = client
        .put(url(&names[1]))
        .header("authorization", LIKE_SIGNED)
        .body(vec![7; 20_001])
        .send()
        .await
        .unwrap();
    assert!(changed.status().is_success(), "{changed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cloud_loses_is_found_and_made_anew() {
    let cloud = Cloud::moto();
    let mut settings = cloud.settings(true);
    settings.extend([("AEROSTORE_STORAGE_BACKUP_PROVIDERS", "local"), ("AEROSTORE_SCRUB_RATE", "0")]);
    let server = filled(&settings).await;
    let clean = expect(&scrub(&server, &[]), 0);
    assert_eq!((&clean["done"], &clean["total"]), (&json!(8), &json!(8)), "{clean}");
    harm(&cloud).await;
    let found = expect(&scrub(&server, &[]), 1);
    assert_eq!(found["report"]["left"], 2, "{found}");
    assert_eq!(server.figure("storage_scrub_last_left").await, Some(2.0));
    let problems: Vec<_> =
        found["report"]["findings"].as_array().unwrap().iter().map(|it| it["problem"].as_str()).collect();
    assert!(problems.contains(&Some("missing")) && problems.contains(&Some("mismatch")), "{found}");
    let repaired = expect(&scrub(&server, &["--repair", "--provider", "cloud"]), 0);
    assert_eq!(repaired["report"]["repaired"], 2, "{repaired}");
    expect(&scrub(&server, &[]), 0);
    // Of the whole four times, but for the copies once: each time that something was read or found.
    for (figure, wanted) in [
        ("storage_scrub_findings_total{problem=\"missing\"}", 2.0),
        ("storage_scrub_findings_total{problem=\"mismatch\"}", 2.0),
        ("storage_scrub_repaired_total", 2.0),
        ("storage_scrub_last_left", 0.0),
        ("storage_scrub_last_skipped", 0.0),
    ] {
        assert_eq!(server.figure(figure).await, Some(wanted), "{figure}");
    }
    let text = server.request(Who::Service, "GET", "/metrics").send().await.text();
    let sum = |name: &str| -> f64 {
        let of_it = text.lines().filter(|line| line.starts_with(name));
        of_it.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    assert_eq!(sum("storage_scrub_blobs_total{"), 28.0, "{text}");
    assert!(sum("storage_scrub_bytes_total ") > 26.0 * 20_000.0, "{text}");
    for number in 0..4 {
        assert_eq!(server.content(&format!("box/{number}")).await.unwrap(), pattern(20_000 + number));
    }
    assert!(!server.log().contains(SECRET));
}

/// What could not be looked at is not called good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_scrub_could_not_read_is_counted() {
    let moto = Cloud::moto();
    let proxy = FaultProxy::before(&moto.endpoint).await;
    let cloud = Cloud::s3(proxy.address()).with("RETRY_ATTEMPTS", "1");
    let mut settings = cloud.settings(true);
    settings.push(("AEROSTORE_SCRUB_RATE", "0"));
    let server = Server::start_with(&settings);
    server.bucket(ME, "box", "private").await;
    for number in 0..3 {
        server.put(ME, &format!("box/{number}"), pattern(20_000)).await;
    }
    proxy.otherwise(Fault::Drop);
    let found = expect(&scrub(&server, &[]), 1);
    assert_eq!((&found["report"]["skipped"], &found["failures"]), (&json!(3), &json!(3)), "{found}");
    for figure in ["storage_scrub_last_skipped", "storage_scrub_blobs_total{outcome=\"skipped\"}"] {
        assert_eq!(server.figure(figure).await, Some(3.0), "{figure}");
    }
    proxy.otherwise(Fault::Pass);
}

async fn job(server: &Server, id: &str) -> Value {
    let path = format!("/api/v1/storage/jobs/{id}");
    server.request(Who::Service, "GET", &path).send().await.expect_status(200).json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_goes_on_with_its_scrub_where_it_was() {
    const FILES: usize = 30;
    // About 15 seconds, which are several steps.
    let settings = [("AEROSTORE_SCRUB_RATE", "100KB"), ("AEROSTORE_STORAGE_INLINE_THRESHOLD", "1KiB")];
    let server = Server::start_with(&settings);
    server.bucket(ME, "box", "private").await;
    for number in 0..FILES {
        server.put(ME, &format!("box/{number}"), pattern(50_000)).await;
    }
    let asked = server.request(Who::Service, "POST", "/api/v1/storage/scrub").json(&json!({})).send().await;
    let id = asked.expect_status(202).json()["id"].as_str().unwrap().to_owned();
    let begun = loop {
        let now = job(&server, &id).await;
        assert_eq!(now["error"], Value::Null, "{now}");
        if now["done"].as_u64().unwrap() > 0 {
            break now;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(begun["status"], "running", "{begun}");
    server.kill();
    let data = server.stop();
    let server = Server::start_in(data, &[("AEROSTORE_SCRUB_RATE", "0")]);
    let waits = Instant::now();
    let ended = loop {
        let now = job(&server, &id).await;
        if now["completed_at"] != Value::Null {
            break now;
        }
        // The claim that the killed one had ends after 20 seconds.
        assert!(waits.elapsed() < Duration::from_secs(90), "{now}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(ended["status"], "completed", "{ended}");
    // Each was counted once, as far as anybody was told.
    let wanted = json!([FILES, FILES, FILES * 50_000, 0]);
    assert_eq!(json!([ended["done"], ended["total"], ended["bytes"], ended["failures"]]), wanted, "{ended}");
    assert_eq!(ended["report"]["findings"], Value::Null, "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_last_scrub_ended_is_known_after_a_restart() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    server.put(ME, "box/a", pattern(50_000)).await;
    expect(&scrub(&server, &[]), 0);
    let data = server.terminate();
    let server = Server::start_in(data, &[]);
    let waits = Instant::now();
    loop {
        let metrics = server.request(Who::Service, "GET", "/metrics").send().await.text();
        if metrics.lines().any(|line| line.starts_with("storage_scrub_last_end_seconds ")) {
            return;
        }
        assert!(waits.elapsed() < Duration::from_secs(20), "{metrics}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
