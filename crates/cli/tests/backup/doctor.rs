//! What `aerostore doctor` says of backups.

use serde_json::{Value, json};

use crate::database::TestDatabase;
use crate::scene::{Said, Scene, aerostore};

#[tokio::test]
async fn a_doctor_knows_how_old_the_last_backup_is() {
    let scene = Scene::new();
    let asked = |name: &str, database: Option<&TestDatabase>| {
        let mut command = aerostore(&scene.at(name), database, &["doctor"]);
        command.env("AEROSTORE_LISTEN", "127.0.0.1:0");
        let report = Said::of(command).out;
        let found = report["findings"].as_array().unwrap_or_else(|| panic!("{report}")).clone();
        let mut told = found.into_iter().filter(|finding| finding["about"] == "backup");
        told.next()
            .map(|it| format!("{}: {}", it["severity"].as_str().unwrap(), it["found"].as_str().unwrap()))
    };
    let doctor = || asked("data", scene.database.as_ref());
    if scene.database.is_none() {
        assert_eq!(doctor(), None, "there is nothing yet");
    }
    let server = scene.serve();
    server.bucket("docs").await;
    server.put("f", vec![1; 50_000]).await;
    assert_eq!(doctor().unwrap(), "warning: no backup was ever made");
    scene.create(&[], "backup.before_manifest=fail").fails("");
    assert_eq!(doctor().unwrap(), "warning: no backup was ever made", "none is whole");
    assert_eq!(scene.create(&[], "").ok()["unrecorded"], Value::Null);
    let place = scene.at("backup").canonicalize().unwrap();
    assert_eq!(
        doctor().unwrap(),
        format!("ok: the last backup is less than a day old ({})", place.display())
    );
    let record = scene.at("data/last-backup.json");
    let mut last: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    last["created_at"] = json!("2026-01-01T00:00:00Z");
    std::fs::write(&record, last.to_string()).unwrap();
    let told = doctor().unwrap();
    assert!(told.starts_with("warning: the last backup is ") && told.contains(" days old"), "{told}");
    drop(server);
    // What is restored was not backed up yet.
    scene.restore("elsewhere", None, "").ok();
    assert_eq!(asked("elsewhere", None).unwrap(), "warning: no backup was ever made");
    // One that can't be noted is a backup all the same.
    std::fs::remove_file(&record).unwrap();
    std::fs::create_dir_all(record.join("in the way")).unwrap();
    let unrecorded = scene.create(&[], "").ok()["unrecorded"].clone();
    assert!(unrecorded.as_str().unwrap().contains("will not know of it"), "{unrecorded}");
    assert!(doctor().unwrap().contains("can't be read"));
    scene.verify().ok();
}
