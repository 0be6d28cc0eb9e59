//! `storage.backup_providers`: a cloud with copies on the disk, and a disk with copies in the cloud, by the real binary.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::signer::{Ask, Client, Signer};
use crate::support::{OWNER, Server, Who, pattern};

const ME: Who = Who::User(OWNER);
const MISSING: &str = "storage_copies_missing{backend=\"cloud\"}";

async fn provider(server: &Server, name: &str) -> Value {
    let all = server.request(Who::Service, "GET", "/api/v1/storage/providers").send().await;
    let all = all.expect_status(200).json();
    all.as_array().unwrap().iter().find(|it| it["provider"] == name).unwrap().clone()
}

/// Waits until a backup has so many copies.
pub(crate) async fn until_copied(server: &Server, name: &str, copies: u64) {
    let started = Instant::now();
    loop {
        let it = provider(server, name).await;
        if (&it["copies"], &it["missing_copies"]) == (&json!(copies), &json!(0)) {
            assert_eq!(it["backup"], true);
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{it}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn read_everything(server: &Server, large: &[u8]) {
    assert!(server.content("box/large").await.unwrap() == large);
    assert!(server.content("box/small").await.unwrap() == pattern(20_000));
    let part =
        server.call(ME, "GET", "/object/box/large").header("range", "bytes=1999990-5000009").send().await;
    assert!(part.expect_status(206).body == large[1_999_990..5_000_010]);
    let key = Signer { token: Some(server.token(ME)), ..Signer::new("any-project", &server.key("anon_key")) };
    let read =
        Client::new(server.address).signed(&key, Ask::new("GET", "/box/large")).await.expect_status(200);
    assert!(read.body == large, "by S3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_a_cloud_that_is_gone_is_read_from_the_disk() {
    let moto = Cloud::moto();
    let proxy = FaultProxy::before(&moto.endpoint).await;
    let cloud = Cloud::s3(proxy.address()).with("HEALTH_CHECK_INTERVAL", "1s").with("FAILOVER_AFTER", "1s");
    let mut settings = cloud.settings(true);
    settings.push(("AEROSTORE_STORAGE_BACKUP_PROVIDERS", "local"));
    let server = Server::start_with(&settings);
    server.bucket(ME, "box", "private").await;
    let large = pattern(7_000_000);
    server.put(ME, "box/large", large.clone()).await;
    server.put(ME, "box/small", pattern(20_000)).await;
    until_copied(&server, "local", 2).await;
    read_everything(&server, &large).await;
    assert!(!server.log().contains("served from a copy"));

    for fault in [Fault::Drop, Fault::Answer(503), Fault::ResetAfter(1_000_000)] {
        proxy.otherwise(fault);
        read_everything(&server, &large).await;
    }
    // Once that is known, nobody waits for it.
    proxy.otherwise(Fault::Drop);
    let _ = server.content("box/large").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let started = Instant::now();
    for _ in 0..10 {
        assert!(server.content("box/small").await.unwrap() == pattern(20_000));
    }
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    server.log_until("served from a copy").await;
    let text = server.request(Who::Service, "GET", "/metrics").send().await.text();
    let from_copies = text.lines().filter(|line| line.starts_with("storage_reads_from_copies_total{"));
    let times: f64 = from_copies.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
    assert!(times >= 10.0, "{text}");
    proxy.otherwise(Fault::Pass);

    // A deletion takes the copy as well.
    server.call(ME, "POST", "/bucket/box/empty").send().await.expect_status(200);
    let started = Instant::now();
    while server.files_on_disk() > 0 || !cloud_is_empty(&moto, &cloud).await {
        assert!(started.elapsed() < Duration::from_secs(90), "{}", server.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Whether moto has nothing of this test's any more.
async fn cloud_is_empty(moto: &Cloud, cloud: &Cloud) -> bool {
    let url = format!("{}/aerostore?list-type=2&prefix={}", moto.endpoint, cloud.prefix);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let listed = client.get(url).send().await.unwrap().text().await.unwrap();
    // What says which place it is stays.
    listed.matches("<Key>").count() == listed.matches("/provider-id</Key>").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_gets_its_copies_in_the_cloud_though_the_server_is_killed() {
    const FILES: usize = 40;
    let cloud = Cloud::moto();
    let server = Server::start_with(&cloud.settings(false));
    server.bucket(ME, "box", "private").await;
    for number in 0..FILES {
        server.put(ME, &format!("box/{number}"), pattern(20_000 + number)).await;
    }
    assert_eq!(provider(&server, "cloud").await["copies"], 0);
    let mut data = server.terminate();
    // Copies are kept from now on: also of what was there before.
    let mut settings = cloud.settings(false);
    settings.push(("AEROSTORE_STORAGE_BACKUP_PROVIDERS", "cloud"));
    for copies in [5_u64, 20] {
        let server = Server::start_in(data, &settings);
        if copies == 5 {
            server.until_figure(MISSING, |copies| copies > 0.0).await;
        }
        let started = Instant::now();
        while provider(&server, "cloud").await["copies"].as_u64().unwrap() < copies {
            assert!(started.elapsed() < Duration::from_secs(90), "{}", server.log());
        }
        // By SIGKILL.
        data = server.stop();
    }
    // A minute later.
    data.end_claims().await;
    let server = Server::start_in(data, &settings);
    let waits = Instant::now();
    while provider(&server, "cloud").await["missing_copies"] != 0 {
        assert!(waits.elapsed() < Duration::from_secs(120), "{}", server.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    until_copied(&server, "cloud", FILES as u64).await;
    server.until_figure(MISSING, |copies| copies == 0.0).await;
    // The disk loses everything: each file is still there, byte for byte.
    for folder in std::fs::read_dir(server.data_dir().join("blobs")).unwrap() {
        let folder = folder.unwrap().path();
        if folder.is_dir() {
            empty(&folder);
        }
    }
    assert_eq!(server.files_on_disk(), 0);
    for number in 0..FILES {
        let read = server.content(&format!("box/{number}")).await.unwrap();
        assert!(read == pattern(20_000 + number), "{number}");
    }
}

/// Removes all files below a folder.
fn empty(folder: &std::path::Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => empty(&path),
            false => std::fs::remove_file(path).unwrap(),
        }
    }
}
