//! `aerostore backup` as an operator uses it: beside a server under load, killed half-way, damaged, and restored elsewhere,
//! also to the other engine. `AEROSTORE_TEST_ENGINE=postgres` has the server's metadata in PostgreSQL.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests, whose helpers lie outside of test functions"
)]

#[allow(dead_code, reason = "shared with other suites, each of which uses a part of it")]
#[path = "../../../file-storage/tests/support/database.rs"]
mod database;
mod doctor;
mod scene;

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use database::TestDatabase;
use scene::{Said, Scene, Server, aerostore, files};

const WRITERS: usize = 4;
const KEYS: usize = 6;

/// What a key holds in its `state`th state; every fifth one is that it is deleted. Large and small ones take turns.
fn content(key: &str, state: u64) -> Option<Vec<u8>> {
    let size = if state.is_multiple_of(2) { 60_000 } else { 300 };
    let text = format!("{key} is in state {state:08}; ");
    (state % 5 != 4).then(|| text.repeat(size / text.len()).into_bytes())
}

/// The state that bytes are of.
fn state_of(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    text.split("state ").nth(1).unwrap()[..8].parse().unwrap()
}

/// The states that each key was last brought to: begun, and acknowledged.
type States = Arc<Mutex<HashMap<String, (u64, u64)>>>;

async fn write(server: Arc<Server>, writer: usize, states: States, stop: Arc<AtomicBool>) {
    for state in 0_u64.. {
        for key in 0..KEYS {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let key = format!("w{writer}/k{key}");
            states.lock().unwrap().entry(key.clone()).or_default().0 = state;
            match content(&key, state) {
                Some(bytes) => server.put(&key, bytes).await,
                None => server.delete(&key).await,
            }
            states.lock().unwrap().entry(key).or_default().1 = state;
        }
    }
}

/// Each key is in a state that it was brought to between these two moments.
async fn compare(server: &Server, before: &HashMap<String, (u64, u64)>, after: &HashMap<String, (u64, u64)>) {
    for (key, (_, acknowledged)) in before {
        let (begun, _) = after[key];
        match server.get(key).await {
            Some(bytes) => {
                let state = state_of(&bytes);
                assert!(
                    (*acknowledged..=begun).contains(&state),
                    "{key}: {state}, not {acknowledged}..={begun}"
                );
                assert!(Some(bytes) == content(key, state), "{key} has other bytes");
            }
            None => {
                assert!((*acknowledged..=begun).any(|state| content(key, state).is_none()), "{key} is gone");
            }
        }
    }
    server.audit().await;
    server.scrub().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_has_all_that_was_acknowledged_and_goes_to_either_engine() {
    let scene = Scene::new();
    let server = Arc::new(scene.serve());
    server.bucket("docs").await;
    server.put("quiet", vec![7; 100_000]).await;
    let (states, stop) = (States::default(), Arc::new(AtomicBool::new(false)));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(server.clone(), writer, states.clone(), stop.clone())))
        .collect();
    let seen = || states.lock().unwrap().clone();
    let mut moments = Vec::new();
    for round in 0..3 {
        while seen().len() < WRITERS * KEYS || seen().values().any(|(_, done)| *done < 2 + round) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let before = seen();
        let said = tokio::task::block_in_place(|| scene.create(&[], "")).ok();
        assert_eq!(said["lost_blobs"], json!(0), "{said}");
        if round > 0 {
            assert!(said["copied_blobs"].as_u64() < said["blobs"].as_u64(), "some were there: {said}");
        }
        moments.push((before, seen()));
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let verified = scene.verify().ok();
    assert_eq!(verified["whole_blobs"], verified["blobs"], "{verified}");
    assert_eq!(
        files(&scene.at("backup/blobs")).len() as u64,
        verified["blobs"].as_u64().unwrap(),
        "what no backup names is gone"
    );
    let service = server.service.clone();
    drop(server);

    let (before, after) = moments.pop().unwrap();
    let other = TestDatabase::new();
    for (name, database) in [("on-sqlite", None), ("on-postgres", Some(&other))] {
        scene.restore(name, database, "").ok();
        let server = Server::start(&scene.at(name), database);
        assert_eq!(server.service, service, "keys are as they were");
        compare(&server, &before, &after).await;
        assert_eq!(server.get("quiet").await, Some(vec![7; 100_000]));
        server.put("later", vec![1; 50_000]).await;
        server.delete("quiet").await;
        drop(server);
        scene.restore(name, database, "").fails("is not empty");
    }
}

#[tokio::test]
async fn who_followed_the_old_database_hears_that_the_restored_one_is_another() {
    let scene = Scene::new();
    let server = scene.serve();
    server.bucket("docs").await;
    server.put("before", vec![1; 10]).await;
    let hook = server.webhook().await;
    scene.create(&[], "").ok();
    for lost in 0..3 {
        server.put(&format!("lost{lost}"), vec![1; 10]).await;
    }
    let last = server.webhook().await["position"].as_u64().unwrap();
    assert_eq!(last, hook["position"].as_u64().unwrap() + 3, "it begins with what comes");
    drop(server);
    let other = TestDatabase::new();
    let mut floors = Vec::new();
    // The same backup again: who followed the first restored database hears of the second one, too.
    for (name, database) in [("on-sqlite", None), ("on-postgres", Some(&other))] {
        scene.restore(name, database, "").ok();
        let server = Server::start(&scene.at(name), database);
        for new in 0..6 {
            server.put(&format!("new{new}"), vec![1; 10]).await;
        }
        let mut first = last;
        for known in [hook["position"].as_u64().unwrap(), last].into_iter().chain(floors.clone()) {
            let told = server.told_after(known).await;
            assert!(told.contains("event: reset"), "{name} after {known}: {told}");
            let at = told.split("\"resume_after\":").nth(1).unwrap();
            first = at.split(|byte: char| !byte.is_ascii_digit()).next().unwrap().parse().unwrap();
        }
        assert!(first > last + 6, "{first}");
        let told = server.told_after(first).await;
        assert!(!told.contains("event: reset") && told.contains("new0"), "{told}");
        // A webhook is told of the gap once it is enabled: one message, however far the numbers leap.
        let kept = server.json("/api/v1/storage/webhooks").await;
        assert_eq!((&kept[0]["status"], &kept[0]["backlog"]), (&json!("disabled"), &json!(7)), "{kept}");
        floors.push(first + 6);
    }
}

#[tokio::test]
async fn what_is_deleted_meanwhile_is_kept_until_it_is_copied() {
    if !cfg!(feature = "failpoints") {
        return;
    }
    let scene = Scene::new();
    let server = scene.serve();
    server.bucket("docs").await;
    for at in 0..10 {
        server.put(&format!("f{at}"), vec![at; 50_000]).await;
    }
    let to = scene.at("backup");
    let arguments = ["backup", "create", "--json", "--to", to.to_str().unwrap()];
    let mut command = aerostore(&scene.at("data"), scene.database.as_ref(), &arguments);
    command.env("AEROSTORE_FAILPOINTS", "backup.metadata=delay(3000ms)").stdout(Stdio::null());
    let mut backup = command.spawn().unwrap();
    // The last table's file comes after the view of all was taken.
    let until = Instant::now() + Duration::from_secs(20);
    let is_read =
        || files(&to.join("metadata")).iter().any(|file| file.ends_with("storage_events_gone.jsonl"));
    while !is_read() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for at in 0..10 {
        server.delete(&format!("f{at}")).await;
    }
    assert!(backup.wait().unwrap().success());
    assert_eq!(scene.verify().ok()["whole_blobs"], json!(10));
    // And then they go.
    let until = Instant::now() + Duration::from_secs(30);
    while !files(&scene.at("data/blobs")).is_empty() {
        assert!(Instant::now() < until, "blobs are held for ever");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(server);
    scene.restore("new", None, "").ok();
    let server = Server::start(&scene.at("new"), None);
    for at in 0..10 {
        assert_eq!(server.get(&format!("f{at}")).await, Some(vec![at; 50_000]));
    }
    server.audit().await;
}

#[tokio::test]
async fn killed_at_any_step_there_is_a_backup_or_none_and_a_server_or_none() {
    if !cfg!(feature = "failpoints") {
        return;
    }
    let scene = Scene::new();
    let server = scene.serve();
    server.bucket("docs").await;
    for at in 0..5 {
        server.put(&format!("f{at}"), vec![at; 50_000]).await;
    }
    let steps = [
        "backup.snapshot=abort",
        "backup.metadata=abort",
        "backup.blob=abort@3",
        "backup.before_manifest=abort",
    ];
    scene.create(&[], "local.stage.write=enospc").fails("disk is full");
    scene.verify().fails("no finished backup");
    for points in steps {
        assert!(!scene.create(&[], points).ok, "{points}");
        scene.verify().fails("no finished backup");
    }
    scene.create(&[], "").ok();
    let first = scene.verify().ok();
    server.delete("f0").await;
    server.put("f5", vec![5; 50_000]).await;
    for points in steps {
        assert!(!scene.create(&[], points).ok, "{points}");
        assert_eq!(scene.verify().ok()["id"], first["id"], "{points}");
    }
    assert!(!scene.create(&[], "backup.published=abort").ok);
    let second = scene.verify().ok();
    assert_ne!(second["id"], first["id"]);
    scene.create(&[], "").ok();
    assert_eq!(files(&scene.at("backup/blobs")).len(), 5);
    drop(server);

    let target = scene.database.as_ref().map(|_| TestDatabase::new());
    for points in ["restore.blob=abort@3", "restore.blobs=abort", "restore.blob=enospc"] {
        assert!(!scene.restore("new", target.as_ref(), points).ok, "{points}");
        let serve = ["serve", "--listen", "127.0.0.1:0"];
        let refused = Said::of(aerostore(&scene.at("new"), target.as_ref(), &serve));
        refused.fails("not restored wholly");
    }
    if target.is_none() {
        assert!(!scene.restore("new", None, "restore.metadata=abort").ok);
    }
    scene.restore("new", target.as_ref(), "").ok();
    let server = Server::start(&scene.at("new"), target.as_ref());
    assert_eq!(server.get("f0").await, None);
    for at in 1..6 {
        assert_eq!(server.get(&format!("f{at}")).await, Some(vec![at; 50_000]));
    }
    server.audit().await;
}

#[tokio::test]
async fn damage_and_wrong_places_are_refused_and_named() {
    let scene = Scene::new();
    let server = scene.serve();
    server.bucket("docs").await;
    for at in 0..3 {
        server.put(&format!("f{at}"), vec![at; 50_000]).await;
    }
    let backup = |to: &Path| {
        let arguments = ["backup", "create", "--to", to.to_str().unwrap()];
        Said::of(aerostore(&scene.at("data"), scene.database.as_ref(), &arguments))
    };
    backup(&scene.at("data")).fails("lies in the data directory");
    backup(&scene.at("data/backup")).fails("lies in the data directory");
    std::fs::create_dir(scene.at("other")).unwrap();
    std::fs::write(scene.at("other/file"), "mine").unwrap();
    backup(&scene.at("other")).fails("neither empty nor a directory of backups");
    scene.verify().fails("no finished backup");
    scene.create(&[], "").ok();
    scene.restore("data", None, "").fails("is not empty");

    // A blob whose bytes have changed, and one that is not there.
    let (blob, bytes) = (scene.blob("backup"), vec![9; 50_000]);
    let whole = std::fs::read(&blob).unwrap();
    for broken in [Some(bytes), None] {
        match broken {
            Some(bytes) => std::fs::write(&blob, bytes).unwrap(),
            None => std::fs::remove_file(&blob).unwrap(),
        }
        scene.verify().fails("is damaged");
        let folder = format!("new-{}", blob.exists());
        scene.restore(&folder, None, "").fails("the backup is damaged");
        let serve = aerostore(&scene.at(&folder), None, &["serve", "--listen", "127.0.0.1:0"]);
        Said::of(serve).fails("not restored wholly");
        // Who has no other backup has the rest of this one, and is told of what it lacks.
        let said = scene.restore_the_rest(&folder);
        let told = (said.ok, &said.out["damaged_blobs"], &said.out["lost_blobs"]);
        assert_eq!(told, (false, &json!(1), &json!(0)), "{}", said.out);
        let rest = Server::start(&scene.at(&folder), None);
        let found = rest.json("/api/v1/storage/cleanup").await;
        assert_eq!((&found["missing_blobs"], &found["orphan_blobs"]), (&json!(1), &json!(0)), "{found}");
    }
    // The next one mends what is missing.
    scene.create(&[], "").ok();
    assert_eq!(std::fs::read(&blob).unwrap(), whole);
    scene.verify().ok();

    // Metadata that has changed.
    let tables = files(&scene.at("backup/metadata"));
    let table = tables.iter().find(|file| file.ends_with("storage_objects.jsonl")).unwrap();
    let text = std::fs::read_to_string(table).unwrap();
    for broken in [text.replacen("f1", "f9", 1), text[..text.len() / 2].to_owned(), String::new()] {
        std::fs::write(table, broken).unwrap();
        scene.verify().fails("storage_objects.jsonl is not what was written");
        scene.restore("newer", None, "").fails("storage_objects.jsonl is not what was written");
    }
    std::fs::remove_file(scene.at("backup/manifest.json")).unwrap();
    scene.restore("newest", None, "").fails("no finished backup");

    // A server that has lost a blob is told so, and has the rest backed up where it wants that.
    std::fs::remove_file(scene.blob("data")).unwrap();
    std::fs::remove_dir_all(scene.at("backup")).unwrap();
    scene.create(&[], "").fails("missing or damaged");
    scene.verify().fails("no finished backup");
    let said = scene.create(&["--despite-losses"], "");
    assert_eq!((said.ok, &said.out["lost_blobs"], &said.out["blobs"]), (false, &json!(1), &json!(2)));
    assert_eq!(scene.verify().ok()["whole_blobs"], json!(2));
    let said = scene.restore("rest", None, "");
    assert_eq!((said.ok, &said.out["lost_blobs"], &said.out["copied_blobs"]), (false, &json!(1), &json!(2)));
    drop(server);
    let server = Server::start(&scene.at("rest"), None);
    let found = server.json("/api/v1/storage/cleanup").await;
    assert_eq!((&found["missing_blobs"], &found["orphan_blobs"]), (&json!(1), &json!(0)), "{found}");
}
