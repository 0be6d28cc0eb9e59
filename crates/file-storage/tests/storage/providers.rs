//! Several providers at once: where bytes go, where they are read and deleted, and what upkeep does on each.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::{
    self, Fixture, TestDatabase, chunked, collect, credential_key, keys, maintain, options, path, service,
    user,
};
use async_trait::async_trait;
use file_storage::backend::local::{LocalBackend, LocalOptions};
use file_storage::backend::registry::Providers;
use file_storage::backend::{BackendError, BlobInfo, BlobWritten, StorageBackend};
use file_storage::body::ByteStream;
use file_storage::executor::Executor;
use file_storage::file::{BlobKey, PutMode};
use file_storage::upkeep::{Upkeep, UpkeepOptions};
use file_storage::{BucketName, BucketPolicy, FileStorage, StorageError};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use tempfile::TempDir;

/// A disk that fails where it is told to: as a cloud does, after it has done what it was asked for.
struct Cloud {
    disk: LocalBackend,
    fails: AtomicBool,
    is_full: AtomicBool,
}

fn disk(dir: &Path, name: &str) -> LocalBackend {
    LocalBackend::open(LocalOptions { provider: name.into(), ..LocalOptions::new(dir.join(name)) }).unwrap()
}

#[async_trait]
impl StorageBackend for Cloud {
    fn provider(&self) -> &Arc<str> {
        self.disk.provider()
    }

    async fn write(
        &self,
        key: &BlobKey,
        body: ByteStream,
        size_hint: Option<u64>,
    ) -> Result<BlobWritten, BackendError> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(BackendError::DiskFull);
        }
        let written = self.disk.write(key, body, size_hint).await?;
        match self.fails.load(Ordering::SeqCst) {
            false => Ok(written),
            true => Err(BackendError::TimedOut { operation: "write", limit: Duration::from_secs(1) }),
        }
    }

    async fn settle(&self, key: &BlobKey, kept: bool) {
        self.disk.settle(key, kept).await;
    }

    async fn read(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<ByteStream, BackendError> {
        self.disk.read(key, range).await
    }

    async fn copy(&self, from: &BlobKey, to: &BlobKey) -> Result<(), BackendError> {
        self.disk.copy(from, to).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BackendError> {
        self.disk.delete(key).await
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BackendError> {
        self.disk.size(key).await
    }

    /// Like S3 of what came in parts, it does not say when.
    fn list(&self) -> BoxStream<'static, Result<BlobInfo, BackendError>> {
        self.disk.list().map_ok(|info| BlobInfo { modified: None, ..info }).boxed()
    }

    /// Not by order, of which a list may know nothing: then each row is asked for.
    fn lists_in_order(&self) -> bool {
        true
    }

    async fn recover(&self) -> Result<Vec<BlobKey>, BackendError> {
        self.disk.recover().await
    }

    async fn probe(&self) -> Result<(), BackendError> {
        self.disk.probe().await
    }

    async fn drain(&self) {
        self.disk.drain().await;
    }
}

/// A storage with two providers, `local` and `cloud`.
struct Both {
    dir: TempDir,
    /// Gone with it.
    _database: Option<TestDatabase>,
    executor: Arc<dyn Executor>,
    local: Arc<LocalBackend>,
    cloud: Arc<Cloud>,
    bucket: BucketName,
}

impl Both {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let database = TestDatabase::if_asked_for();
        let executor = Fixture::executor(dir.path(), database.as_ref()).await;
        let local = Arc::new(disk(dir.path(), "local"));
        let cloud = Arc::new(Cloud {
            disk: disk(dir.path(), "cloud"),
            fails: AtomicBool::default(),
            is_full: AtomicBool::default(),
        });
        let bucket = support::bucket("box");
        let both = Self { dir, _database: database, executor, local, cloud, bucket };
        let config = file_storage::BucketConfig { policy: BucketPolicy::Private, ..Default::default() };
        both.writing_to("local").create_bucket(&user(1), &both.bucket, &config).await.unwrap();
        both
    }

    /// The storage, with this provider for what is new.
    fn writing_to(&self, active: &str) -> FileStorage {
        let (local, cloud): (Arc<dyn StorageBackend>, Arc<dyn StorageBackend>) =
            (self.local.clone(), self.cloud.clone());
        let providers = match active {
            "local" => Providers::new(local, [cloud]),
            "cloud, else local" => Providers::new(cloud, [local]).failing_over_to(["local"]),
            _ => Providers::new(cloud, [local]),
        };
        let options = options(self.dir.path());
        FileStorage::new(self.executor.clone(), providers, keys(), credential_key(), options)
    }

    async fn put(&self, storage: &FileStorage, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        let pending = storage.admit_upload(&user(1), &self.bucket, &path(name), PutMode::Upsert).await?;
        pending.store(Default::default(), None, chunked(bytes)).await.map(drop)
    }

    async fn get(&self, storage: &FileStorage, name: &str) -> Vec<u8> {
        let download = storage.download(&service(), &self.bucket, &path(name)).await.unwrap();
        collect(download.body(None).await.unwrap()).await.unwrap()
    }

    /// Blobs on the disk, and in the cloud.
    async fn counts(&self) -> (usize, usize) {
        self.local.drain().await;
        self.cloud.drain().await;
        let count = |blobs: Vec<BlobInfo>| blobs.len();
        let local = self.local.list().try_collect().await.map(count).unwrap();
        (local, self.cloud.list().try_collect().await.map(count).unwrap())
    }

    /// Waits until the counts are these.
    async fn until(&self, wanted: (usize, usize)) {
        for _ in 0..4000 {
            if self.counts().await == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(self.counts().await, wanted);
    }
}

fn upkeep(grace: Duration) -> UpkeepOptions {
    UpkeepOptions { interval: None, grace, ..UpkeepOptions::default() }
}

#[tokio::test]
async fn reads_copies_and_deletions_follow_the_segment() {
    let both = Both::new().await;
    let (old, new) = (both.writing_to("local"), both.writing_to("cloud"));
    both.put(&old, "old", &[1; 1000]).await.unwrap();
    both.put(&new, "new", &[2; 1000]).await.unwrap();
    assert_eq!(both.counts().await, (1, 1));
    for storage in [&old, &new] {
        assert_eq!(both.get(storage, "old").await, [1; 1000]);
        assert_eq!(both.get(storage, "new").await, [2; 1000]);
    }
    // A copy costs no transfer: it is where its source is.
    let (from, to) = (path("old"), path("copy"));
    let (from, to) = ((&both.bucket, &from), (&both.bucket, &to));
    new.copy(&user(1), from, to, PutMode::Create, Default::default()).await.unwrap();
    assert_eq!(both.counts().await, (2, 1));
    assert_eq!(both.get(&new, "copy").await, [1; 1000]);
    // An overwrite goes where new bytes go; a move stays.
    let upkeep = Upkeep::start(&new, upkeep(Duration::from_secs(300)));
    both.put(&new, "old", &[3; 1000]).await.unwrap();
    both.until((1, 2)).await;
    new.delete(&user(1), &both.bucket, &path("copy"), None).await.unwrap();
    new.delete(&user(1), &both.bucket, &path("new"), None).await.unwrap();
    both.until((0, 1)).await;
    assert_eq!(both.get(&old, "old").await, [3; 1000]);
    upkeep.stop().await;
}

#[tokio::test]
async fn a_provider_that_is_not_configured_is_named_and_nothing_is_forgotten() {
    let both = Both::new().await;
    both.put(&both.writing_to("cloud"), "new", &[2; 1000]).await.unwrap();
    let options = options(both.dir.path());
    let alone =
        FileStorage::new(both.executor.clone(), both.local.clone(), keys(), credential_key(), options);
    let download = alone.download(&service(), &both.bucket, &path("new")).await.unwrap();
    let Err(missing) = download.body(None).await else { panic!("it was read") };
    assert!(matches!(&missing, StorageError::ProviderUnavailable { provider, .. } if **provider == *"cloud"));
    // A deletion waits for the provider to come back.
    alone.delete(&user(1), &both.bucket, &path("new"), None).await.unwrap();
    let running = Upkeep::start(&alone, upkeep(Duration::ZERO));
    running.cleanup(true).await.unwrap();
    running.stop().await;
    assert_eq!(both.executor.backlog(&maintain()).await.unwrap().pending_deletions, 1);
    let running = Upkeep::start(&both.writing_to("local"), upkeep(Duration::ZERO));
    both.until((0, 0)).await;
    running.stop().await;
}

#[tokio::test]
async fn what_a_failed_upload_left_in_the_cloud_goes() {
    let both = Both::new().await;
    let storage = both.writing_to("cloud");
    both.cloud.fails.store(true, Ordering::SeqCst);
    let failed = both.put(&storage, "new", &[2; 1000]).await;
    assert!(matches!(failed, Err(StorageError::ProviderTimeout { .. })), "{failed:?}");
    both.until((0, 0)).await;
    storage.close().await;
}

#[tokio::test]
async fn what_one_has_no_room_for_goes_to_the_one_that_stands_by() {
    let both = Both::new().await;
    both.cloud.is_full.store(true, Ordering::SeqCst);
    let full = both.put(&both.writing_to("cloud"), "new", &[2; 1000]).await;
    assert!(matches!(full, Err(StorageError::DiskFull { .. })), "{full:?}");
    let storage = both.writing_to("cloud, else local");
    both.put(&storage, "new", &[2; 1000]).await.unwrap();
    assert_eq!((both.counts().await, &**storage.provider()), ((1, 0), "local"));
    assert_eq!(both.get(&storage, "new").await, [2; 1000]);
}

#[tokio::test]
async fn orphans_go_from_every_provider_and_late_where_their_age_is_not_known() {
    let both = Both::new().await;
    for provider in ["local", "cloud"] {
        both.put(&both.writing_to(provider), provider, &[1; 1000]).await.unwrap();
    }
    // Two blobs whose rows never came.
    let other = Both::new().await;
    for provider in ["local", "cloud"] {
        other.put(&other.writing_to(provider), provider, &[1; 1000]).await.unwrap();
    }
    other.counts().await;
    for provider in ["local", "cloud"] {
        let (from, to) =
            (other.dir.path().join(provider).join("blobs"), both.dir.path().join(provider).join("blobs"));
        let copied = std::process::Command::new("cp").arg("-r").arg(from.join(".")).arg(to).status();
        assert!(copied.unwrap().success());
    }
    assert_eq!(both.counts().await, (2, 2));
    let running = Upkeep::start(&both.writing_to("local"), upkeep(Duration::from_millis(200)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let first = running.cleanup(true).await.unwrap();
    assert_eq!((first.orphan_blobs, first.deleted_blobs, first.halted), (1, 1, None));
    // A blob may be older than its end: who does not know waits from when it was seen.
    assert_eq!(both.counts().await, (1, 2));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let second = running.cleanup(true).await.unwrap();
    assert_eq!((second.orphan_blobs, second.deleted_blobs, second.halted), (1, 1, None));
    assert_eq!(both.counts().await, (1, 1));
    assert_eq!(running.cleanup(true).await.unwrap().orphan_blobs, 0);
    running.stop().await;
}
