//! The upload queue between the disk and a cloud: moves with the command line, killed and begun again; uploads that do not wait; what
//! came to the disk in an outage comes home.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::cloud::{Cloud, SECRET};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::life::emptied;
use crate::support::{OWNER, Server, Who, pattern};

const ME: Who = Who::User(OWNER);

/// Objects that are moved.
const FILES: usize = 40;

/// Runs a command with the service key.
fn run(server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aerostore"));
    command.args(arguments).stdin(Stdio::null());
    command.env("AEROSTORE_URL", format!("http://{}", server.address));
    command.env("AEROSTORE_TOKEN", server.key("service_key")).output().unwrap()
}

#[track_caller]
fn expect(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    (out, err)
}

async fn fill(server: &Server) {
    server.bucket(ME, "box", "private").await;
    for number in 0..FILES {
        server.put(ME, &format!("box/{number}"), pattern(20_000 + number)).await;
    }
    server.put(ME, "box/large", pattern(7_000_000)).await;
}

async fn expect_all(server: &Server) {
    for number in 0..FILES {
        assert!(
            server.content(&format!("box/{number}")).await.unwrap() == pattern(20_000 + number),
            "{number}"
        );
    }
    assert!(server.content("box/large").await.unwrap() == pattern(7_000_000));
}

async fn provider(server: &Server, name: &str) -> Value {
    let all = server.request(Who::Service, "GET", "/api/v1/storage/providers").send().await;
    let all = all.expect_status(200).json();
    all.as_array().unwrap().iter().find(|it| it["provider"] == name).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_files_go_to_the_cloud_and_back() {
    let cloud = Cloud::moto();
    let server = Server::start_with(&cloud.settings(false));
    fill(&server).await;
    // In many parts.
    let (out, _) = expect(
        &run(&server, &["--json", "migrate-provider", "--from", "local", "--to", "cloud", "--batch", "7"]),
        0,
    );
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["queued"], json!(FILES + 1), "{report}");
    emptied(&server).await;
    assert_eq!((server.files_on_disk(), cloud.kept().await.len()), (0, FILES + 1));
    expect_all(&server).await;

    let server = Server::start_in(server.stop(), &cloud.settings(true));
    let (out, _) = expect(
        &run(&server, &["--json", "migrate-provider", "--from", "cloud", "--to", "local", "--bucket", "box"]),
        0,
    );
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["queued"], &report["failed"]), (&json!(FILES + 1), &json!(0)), "{report}");
    emptied(&server).await;
    assert_eq!((server.files_on_disk(), cloud.kept().await.len()), (FILES + 1, 0));
    expect_all(&server).await;
    let (shown, _) = expect(&run(&server, &["providers"]), 0);
    assert!(shown.lines().any(|line| line.starts_with("cloud") && line.contains("active")), "{shown}");
    expect(&run(&server, &["migrate-provider", "--from", "cloud", "--to", "cloud"]), 1);
    expect(&run(&server, &["migrate-provider", "--from", "cloud", "--to", "nowhere"]), 3);
    // Without the cloud, nothing is missing.
    let server = Server::start_in(server.stop(), &[]);
    expect_all(&server).await;
    assert!(!server.log().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_amid_a_move_finishes_it_when_it_is_back() {
    let cloud = Cloud::moto();
    let mut server = Server::start_with(&cloud.settings(false));
    fill(&server).await;
    let (_, err) =
        expect(&run(&server, &["migrate-provider", "--from", "local", "--to", "cloud", "--no-wait"]), 0);
    assert!(err.contains("local is still the active provider"), "{err}");
    for round in 1..=2 {
        // Some have arrived, others are under way.
        let wanted = round * FILES / 4;
        for _ in 0..2000 {
            if cloud.kept().await.len() >= wanted {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server = Server::start_in(server.stop(), &cloud.settings(false));
        expect_all(&server).await;
    }
    // Claims of the killed ones end by themselves.
    let said = tokio::task::spawn_blocking({
        let (url, key) = (format!("http://{}", server.address), server.key("service_key"));
        move || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_aerostore"));
            command.args(["migrate-provider", "--from", "local", "--to", "cloud"]).stdin(Stdio::null());
            command.env("AEROSTORE_URL", url).env("AEROSTORE_TOKEN", key).output().unwrap()
        }
    });
    expect(&said.await.unwrap(), 0);
    expect_all(&server).await;
    for (name, blobs) in [("local", 0), ("cloud", FILES + 1)] {
        assert_eq!(provider(&server, name).await["blobs"], json!(blobs), "{name}");
    }
    for _ in 0..1200 {
        if server.files_on_disk() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("old copies stay on the disk: {}", server.log());
}

/// Expects so many files, once a look at the disk is over, which keeps one there for a moment.
pub(crate) async fn expect_on_disk(server: &Server, files: usize) {
    for _ in 0..2000 {
        if server.files_on_disk() == files {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.files_on_disk(), files, "{}", server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_did_not_wait_or_could_not_comes_home_after_an_outage() {
    let moto = Cloud::moto();
    let proxy = FaultProxy::before(&moto.endpoint).await;
    let cloud =
        Cloud::s3(proxy.address()).with("HEALTH_CHECK_INTERVAL", "1s").with("CIRCUIT_BREAKER_TIMEOUT", "1s");
    let mut settings = cloud.settings(true);
    settings.push(("AEROSTORE_STORAGE_FAILOVER_PROVIDERS", "local"));
    settings.push(("AEROSTORE_STORAGE_SPOOL", "local"));
    let server = Server::start_with(&settings);
    server.bucket(ME, "box", "private").await;
    proxy.otherwise(Fault::Drop);
    let call = server.call(ME, "PUT", "/object/box/deferred").header("prefer", "respond-async");
    let deferred = call.body(pattern(100_000)).send().await.expect_status(202);
    server.put(ME, "box/failed-over", pattern(200_000)).await;
    expect_on_disk(&server, 2).await;
    let (list, _) = expect(&run(&server, &["queue", "list"]), 0);
    assert!(
        list.contains("deferred") && list.contains("failover") && list.contains("box/failed-over"),
        "{list}"
    );
    let id = deferred.header("location").rsplit('/').next().unwrap().to_owned();
    let (shown, _) = expect(&run(&server, &["queue", "show", &id]), 0);
    assert!(shown.contains("box/deferred") && shown.contains("cloud"), "{shown}");
    let (given_up, _) = expect(&run(&server, &["queue", "cancel", &id]), 0);
    assert!(given_up.contains("failed"), "{given_up}");

    proxy.otherwise(Fault::Pass);
    let (again, _) = expect(&run(&server, &["--json", "queue", "retry", "--all"]), 0);
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), json!({ "retried": 1 }));
    for _ in 0..1200 {
        if server.files_on_disk() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.files_on_disk(), 0, "{}", server.log());
    assert_eq!(server.content("box/deferred").await.unwrap(), pattern(100_000));
    assert_eq!(server.content("box/failed-over").await.unwrap(), pattern(200_000));
    expect(&run(&server, &["queue", "show", &uuid::Uuid::new_v4().to_string()]), 3);
    expect(&run(&server, &["queue", "retry"]), 2);
    emptied(&server).await;
}
