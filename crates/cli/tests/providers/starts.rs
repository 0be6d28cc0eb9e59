//! What a start says about the provider that new bytes go to.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::cloud::{Cloud, SECRET};
use crate::support::{OWNER, Server, Who, pattern};

const ME: Who = Who::User(OWNER);

/// The end of a server that can't start: what it says.
fn refused(cloud: &Cloud) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_aerostore"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AEROSTORE_"))
    {
        server.env_remove(name);
    }
    let ended = server
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path())
        .envs(cloud.settings(true))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!ended.status.success());
    String::from_utf8(ended.stderr).unwrap()
}

#[test]
fn a_bucket_that_is_not_there_stops_the_start() {
    let said = refused(&Cloud::moto().with("BUCKET", "nowhere"));
    assert!(said.contains("the provider 'cloud', which new bytes are to go to, refuses them"), "{said}");
    assert!(said.contains("NoSuchBucket") && !said.contains(SECRET), "{said}");
    // Another one stands by: it is not the one that refuses. And all is said once.
    let mut cloud = Cloud::moto().with("BUCKET", "nowhere");
    cloud.settings.push(("AEROSTORE_STORAGE_FAILOVER_PROVIDERS".to_owned(), "local".to_owned()));
    let said = refused(&cloud);
    let error = said.lines().find(|line| line.contains("refuses them")).unwrap();
    assert!(error.contains("the provider 'cloud', which new bytes are to go to"), "{said}");
    assert_eq!(error.matches("NoSuchBucket").count(), 1, "{said}");
    assert!(!error.contains("'local'"), "{said}");
}

#[test]
fn a_mistake_in_the_configuration_stops_the_start() {
    let said = refused(&Cloud::moto().with("CHUNK_SIZE", "1MB"));
    assert!(said.contains("providers.cloud.chunk_size: is at least 5MiB"), "{said}");
    let said = refused(&Cloud::moto().with("ACCOUNT", "somebody"));
    assert!(said.contains("providers.cloud.account: is no key of the kind s3"), "{said}");
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_waited_for() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server: Server = Cloud::s3(&format!("http://{gone}")).serve();
    server.log_until("the active provider does not answer").await;
    let ready = server.request(Who::Anon, "GET", "/readyz").send().await;
    assert_eq!(ready.status, 503);
}

/// The line of a log that says that files lie with a provider that stands by.
async fn displaced(server: &Server, provider: &str) -> String {
    let log = server.log_until("files are kept on a provider that only stands by").await;
    let lines: Vec<_> = log.lines().filter(|line| line.contains("only stands by")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("WARN") && lines[0].contains("aerostore migrate-provider"), "{lines:?}");
    assert!(lines[0].contains(&format!("provider={provider} ")), "{lines:?}");
    lines[0].to_owned()
}

/// It was the active one, and only stands by from this start on: what it keeps is nobody's to bring home.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_on_what_only_stands_by_are_told_of_until_they_are_moved() {
    let cloud = Cloud::moto();
    let server = Server::start_with(&cloud.settings(false));
    server.bucket(ME, "box", "private").await;
    for name in ["a", "b", "c"] {
        server.put(ME, &format!("box/{name}"), pattern(50_000)).await;
    }
    server.put(ME, "box/small", pattern(500)).await;
    // On a disk besides they are at home.
    let server = Server::start_in(server.terminate(), &cloud.settings(true));
    server.put(ME, "box/d", pattern(50_000)).await;
    assert!(!server.log().contains("only stands by"), "{}", server.log());
    let mut settings = cloud.settings(true);
    for standby in ["AEROSTORE_STORAGE_FAILOVER_PROVIDERS", "AEROSTORE_STORAGE_SPOOL"] {
        settings.push((standby, "local"));
    }
    let server = Server::start_in(server.terminate(), &settings);
    let told = displaced(&server, "local").await;
    assert!(told.contains("blobs=3") && told.contains("active_provider=cloud"), "{told}");

    // What is queued, or moved, needs nobody's attention.
    let request = json!({ "from": "local", "to": "cloud" });
    let moved = server.request(Who::Service, "POST", "/api/v1/storage/migrations").json(&request).send();
    assert_eq!(moved.await.expect_status(202).json()["queued"], 3);
    for _ in 0..600 {
        if server.files_on_disk() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((server.files_on_disk(), cloud.kept().await.len()), (0, 4), "{}", server.log());
    let server = Server::start_in(server.terminate(), &settings);
    // A look takes a moment.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!server.log().contains("only stands by"), "{}", server.log());
}
