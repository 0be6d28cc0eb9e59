//! What a start says about the provider that new bytes go to.

use std::process::{Command, Stdio};

use crate::cloud::{Cloud, SECRET};
use crate::support::Server;

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
    let ready = server.request(crate::support::Who::Anon, "GET", "/readyz").send().await;
    assert_eq!(ready.status, 503);
}
