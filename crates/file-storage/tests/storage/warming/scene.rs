//! A storage that reads lists ahead, and who asks for them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use file_storage::file::PutMode;
use file_storage::storage::{StorageOptions, WarmingOptions};
use file_storage::upkeep::{Upkeep, UpkeepOptions};
use file_storage::{BucketName, FileStorage, RlsContext};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Fixture, credential_key, everything, keys, options, path, service};

/// Where a list is about to be read ahead: its mark was told.
pub(crate) const READ: &str = "lists.warm";

/// Waits until something is so.
pub(crate) async fn until(what: impl AsRef<str>, is: impl AsyncFn() -> bool) {
    for _ in 0..4000 {
        if is().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not in 20 seconds: {}", what.as_ref());
}

/// Where it is noted what is asked for.
pub(crate) fn notes(dir: &Path) -> PathBuf {
    dir.join("lists-asked-for.json")
}

pub(crate) fn warming(dir: &Path, lists: usize) -> StorageOptions {
    let warming = WarmingOptions { lists, notes: Some(notes(dir).into()), pause: Duration::from_millis(5) };
    StorageOptions { warming, ..options(dir) }
}

pub(crate) fn upkeep(storage: &FileStorage) -> Upkeep {
    Upkeep::start(storage, UpkeepOptions { interval: None, ..UpkeepOptions::default() })
}

pub(crate) async fn fixture(lists: usize) -> Fixture {
    let dir = TempDir::new().unwrap();
    let options = warming(dir.path(), lists);
    Fixture::open_with(dir, options, |backend| backend).await
}

/// What the next start makes of the same data.
pub(crate) fn started_again(fixture: &Fixture, lists: usize) -> FileStorage {
    let options = warming(fixture.dir.path(), lists);
    FileStorage::new(fixture.executor.clone(), fixture.backend.clone(), keys(), credential_key(), options)
}

pub(crate) async fn put(fixture: &Fixture, at: &BucketName, name: &str) {
    fixture.put(&service(), (at, &path(name)), PutMode::Upsert, b"1").await.unwrap();
}

/// Asks so often that it is noted, and kept.
pub(crate) async fn ask(storage: &FileStorage, caller: &RlsContext, at: &BucketName) {
    for _ in 0..3 {
        storage.list(caller, at, &everything()).await.unwrap();
    }
}

/// Somebody with a service token.
pub(crate) fn backend() -> RlsContext {
    let claims = json!({ "role": "service_role", "iss": "test", "exp": 4_000_000_000_u64 });
    RlsContext::service(None, claims.as_object().cloned().unwrap(), "test")
}
