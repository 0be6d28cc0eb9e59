//! Backups of what a cloud keeps, and a cloud as where they are restored.

use std::collections::BTreeMap;
use std::process::Output;

use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::support::{Data, Server, Who};

/// Some are rows alone, some one request, and some go up in parts.
fn content(n: usize) -> Vec<u8> {
    let size = [10, 5_000, 300_000, 2_500_000][n % 4];
    format!("object {n}; ").repeat(size / 10).into_bytes()
}

#[track_caller]
fn said(output: &Output) -> Value {
    let told = || String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}", told());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", told()))
}

/// Verifies every blob, and gives what was found wrong.
async fn scrub(server: &Server) -> Value {
    let asked = server.request(Who::Service, "POST", "/api/v1/storage/scrub").json(&json!({})).send().await;
    let id = asked.expect_status(202).json()["id"].as_str().unwrap().to_owned();
    for _ in 0..1200 {
        let path = format!("/api/v1/storage/jobs/{id}");
        let job = server.request(Who::Service, "GET", &path).send().await.expect_status(200).json();
        if !["pending", "running"].contains(&job["status"].as_str().unwrap()) {
            assert_eq!((&job["status"], &job["failures"]), (&json!("completed"), &json!(0)), "{job}");
            assert!(job["done"].as_u64().unwrap() > 0, "there are blobs: {job}");
            return job["report"]["findings"].clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the scrub never ends: {}", server.log());
}

/// A server with blobs on its disk and in a cloud, which is the active provider by then.
async fn fill(cloud: &Cloud) -> (Server, BTreeMap<String, Vec<u8>>) {
    let disk = Server::start_with(&cloud.settings(false));
    disk.bucket(Who::Service, "docs", "private").await;
    let mut objects = BTreeMap::new();
    for n in 0..8 {
        disk.put(Who::Service, &format!("docs/disk/{n}"), content(n)).await;
        objects.insert(format!("docs/disk/{n}"), content(n));
    }
    let server = Server::start_in(disk.terminate(), &cloud.settings(true));
    for n in 0..8 {
        server.put(Who::Service, &format!("docs/cloud/{n}"), content(n)).await;
        objects.insert(format!("docs/cloud/{n}"), content(n));
    }
    // What was replaced and what was deleted is not brought back.
    server.put(Who::Service, "docs/disk/1", content(2)).await;
    objects.insert("docs/disk/1".to_owned(), content(2));
    for gone in ["docs/disk/2", "docs/cloud/3"] {
        server.call(Who::Service, "DELETE", &format!("/object/{gone}")).send().await.expect_status(204);
        objects.remove(gone);
    }
    (server, objects)
}

/// Backs a server up while it runs, and restores it to where `settings` says.
async fn goes_to(settings: &[(&str, &str)], of_disk: bool) {
    let cloud = Cloud::moto();
    let (server, objects) = fill(&cloud).await;
    let place = tempfile::tempdir().unwrap();
    let backup = place.path().join("backup");
    let backup = backup.to_str().unwrap();
    let create = ["backup", "create", "--to", backup, "--json"];
    let first = said(&server.data().run(&create, &cloud.settings(true)));
    // Blobs never change: the second one brings what is new.
    server.put(Who::Service, "docs/cloud/late", content(3)).await;
    let second = said(&server.data().run(&create, &cloud.settings(true)));
    assert_ne!(first, second);
    let mut objects = objects;
    objects.insert("docs/cloud/late".to_owned(), content(3));
    let bucket_of_cloud = cloud.kept().await;
    drop(server);

    let data = Data::new();
    said(&data.run(&["backup", "verify", backup, "--json"], &[]));
    let restore = ["backup", "restore", backup, "--json"];
    said(&data.run(&restore, settings));
    let restored = Server::start_in(data, settings);
    for (place, bytes) in &objects {
        assert!(restored.content(place).await.as_ref() == Some(bytes), "{place}");
    }
    for gone in ["docs/disk/2", "docs/cloud/3"] {
        assert!(restored.content(gone).await.is_none(), "{gone}");
    }
    assert_eq!(scrub(&restored).await, Value::Null);
    restored.expect_clean().await;
    assert_eq!(restored.files_on_disk() > 0, of_disk, "it goes to the active provider alone");
    // It is a server like any other: what it takes goes there, too.
    restored.put(Who::Service, "docs/new", content(2)).await;
    assert_eq!(restored.content("docs/new").await.unwrap(), content(2));
    assert_eq!(cloud.kept().await, bucket_of_cloud, "what was backed up stays as it was");
}

#[tokio::test]
async fn what_lies_on_disk_and_in_a_cloud_is_restored_into_another_one() {
    goes_to(&Cloud::moto().settings(true), false).await;
}

#[tokio::test]
async fn what_lies_in_a_cloud_is_restored_onto_a_disk() {
    goes_to(&[("AEROSTORE_STORAGE_INLINE_THRESHOLD", "1KiB")], true).await;
}

/// A cloud that is somebody else's already is not written to: its blobs would be taken for orphans.
#[tokio::test]
async fn a_cloud_that_holds_blobs_is_no_place_for_a_restore() {
    let cloud = Cloud::moto();
    let (server, _) = fill(&cloud).await;
    let place = tempfile::tempdir().unwrap();
    let backup = place.path().join("backup");
    let backup = backup.to_str().unwrap();
    said(&server.data().run(&["backup", "create", "--to", backup, "--json"], &cloud.settings(true)));
    let other = Cloud::moto();
    let busy = other.serve();
    busy.bucket(Who::Service, "box", "private").await;
    busy.put(Who::Service, "box/theirs", content(2)).await;
    let refused = Data::new().run(&["backup", "restore", backup], &other.settings(true));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("cloud"), "{told}");
    assert_eq!(busy.content("box/theirs").await.unwrap(), content(2));
    busy.expect_clean().await;
}
