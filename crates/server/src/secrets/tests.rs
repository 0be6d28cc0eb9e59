use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::config::Sources;

fn config(data_dir: &Path, variables: &[(&str, &str)]) -> Config {
    let mut environment: Vec<_> = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    environment.push(("AEROSTORE_DATA_DIR".into(), data_dir.display().to_string()));
    Config::load(&Sources { environment, ..Sources::default() }).unwrap().config
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn json(secrets: &Secrets) -> serde_json::Value {
    serde_json::to_value(secrets.keys().unwrap()).unwrap()
}

#[test]
fn the_first_start_makes_secrets_and_later_ones_find_them() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("new/data");
    let config = config(&data_dir, &[]);
    assert!(matches!(Secrets::open(&config), Err(SecretsError::Missing(_))));
    assert!(!data_dir.exists(), "asking creates nothing");
    let first = Secrets::open_or_create(&config).unwrap();
    let second = Secrets::open_or_create(&config).unwrap();
    assert_eq!((first.created(), second.created()), (true, false));
    assert_eq!(json(&first), json(&second));
    assert_eq!(json(&first), json(&Secrets::open(&config).unwrap()));
    assert_eq!((mode(&data_dir), mode(&data_dir.join("secrets.json"))), (0o700, 0o600));
    let names: Vec<_> = std::fs::read_dir(&data_dir).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["secrets.json"], "no temporary file stays");
    let keys = json(&first);
    let names: HashSet<_> = keys.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["anon_key", "service_key", "jwt_secret", "s3_access_key_id", "s3_secret_access_key"];
    assert_eq!(names, HashSet::from(expected));
}

#[test]
fn secrets_are_put_back_where_there_are_none_and_over_no_others() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new, other) =
        (directory.path().join("old"), directory.path().join("new"), directory.path().join("other"));
    let made = Secrets::open_or_create(&config(&old, &[])).unwrap();
    let kept = document(&old).unwrap();
    put_back(&new, &kept).unwrap();
    put_back(&new, &kept).unwrap();
    assert_eq!(json(&Secrets::open(&config(&new, &[])).unwrap()), json(&made));
    assert_eq!((mode(&new), mode(&new.join("secrets.json"))), (0o700, 0o600));
    let others = Secrets::open_or_create(&config(&other, &[])).unwrap();
    assert!(matches!(put_back(&other, &kept), Err(SecretsError::Others(_))));
    assert_eq!(json(&Secrets::open(&config(&other, &[])).unwrap()), json(&others));
    assert!(matches!(put_back(&directory.path().join("none"), b"{}"), Err(SecretsError::Damaged { .. })));
    assert!(!directory.path().join("none").exists());
}

#[test]
fn each_purpose_has_a_secret_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let secrets = Secrets::open_or_create(&config(directory.path(), &[])).unwrap();
    let stored = &secrets.stored;
    let all = [&stored.jwt_secret, &stored.signing_secret, &stored.master_key, &stored.s3_secret_access_key];
    assert_eq!(all.iter().map(|secret| secret.expose()).collect::<HashSet<_>>().len(), all.len());
    let shown = format!("{secrets:?} {:?}", secrets.keys().unwrap());
    assert!(all.iter().all(|secret| !shown.contains(secret.expose())), "{shown}");
    let keys = secrets.keys().unwrap();
    assert!(!shown.contains(keys.service_key.as_str()) && !shown.contains(keys.anon_key.as_str()));
}

#[test]
fn configured_secrets_win_and_the_keys_follow() {
    let directory = tempfile::tempdir().unwrap();
    let generated = Secrets::open_or_create(&config(directory.path(), &[])).unwrap();
    let (ours, old) =
        ("a secret of our own, of 32 bytes or more", "the secret before that, just as long as it");
    let variables = [
        ("AEROSTORE_AUTH_JWT_SECRET", ours),
        ("AEROSTORE_AUTH_PREVIOUS_JWT_SECRETS", "0123456789abcdef0123456789abcdef"),
        ("AEROSTORE_SIGNING_SECRET", old),
    ];
    // Commas separate items of a list, and only of a list.
    let configured = Secrets::open(&config(directory.path(), &variables)).unwrap();
    assert_eq!(configured.jwt().expose(), ours);
    assert_eq!(configured.previous_jwt().len(), 1);
    assert_eq!(json(&configured)["jwt_secret"], ours);
    assert_ne!(json(&configured)["service_key"], json(&generated)["service_key"]);
    assert_eq!(json(&configured)["s3_secret_access_key"], json(&generated)["s3_secret_access_key"]);
}

#[test]
fn starts_at_once_agree_on_the_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(&directory.path().join("data"), &[]);
    let gate = std::sync::Barrier::new(8);
    let all: Vec<_> = std::thread::scope(|scope| {
        let start = || {
            gate.wait();
            Secrets::open_or_create(&config).unwrap()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(all.iter().filter(|secrets| secrets.created()).count(), 1);
    assert!(all.iter().all(|secrets| json(secrets) == json(&all[0])));
}

#[test]
fn files_that_others_can_read_or_that_are_damaged_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), &[]);
    Secrets::open_or_create(&config).unwrap();
    let file = directory.path().join("secrets.json");
    let good = std::fs::read_to_string(&file).unwrap();
    for exposed in [0o640, 0o604, 0o620, 0o601] {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(exposed)).unwrap();
        let problem = Secrets::open_or_create(&config).unwrap_err().to_string();
        assert!(problem.contains(&format!("can be read by others (mode {exposed:o})")), "{problem}");
    }
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let secret = Secrets::open(&config).unwrap().jwt().expose().to_owned();
    for damaged in [
        String::new(),
        "{}".to_owned(),
        good.replace("\"format\": 1", "\"format\": 2"),
        good.replace(&secret, "short"),
        good.replace(&format!("\"{secret}\""), &format!("[\"{secret}\"]")),
        good[..good.len() / 2].to_owned(),
    ] {
        std::fs::write(&file, &damaged).unwrap();
        let error = Secrets::open_or_create(&config).unwrap_err();
        assert!(matches!(error, SecretsError::Damaged { .. }), "{error}");
        assert!(!error.to_string().contains(&secret), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), damaged, "what is there is never overwritten");
    }
}

#[test]
fn a_directory_that_was_made_by_hand_is_closed_while_it_is_empty() {
    let directory = tempfile::tempdir().unwrap();
    let (empty, used) = (directory.path().join("empty"), directory.path().join("used"));
    for path in [&empty, &used] {
        std::fs::create_dir(path).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    std::fs::write(used.join("something"), "").unwrap();
    for path in [&empty, &used] {
        Secrets::open_or_create(&config(path, &[])).unwrap();
    }
    assert_eq!((mode(&empty), mode(&used)), (0o700, 0o755));
}
