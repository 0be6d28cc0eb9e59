//! A storage whose bytes belong to one provider and may come to another one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use file_storage::backend::local::{LocalBackend, LocalOptions};
use file_storage::backend::provider::Provider;
use file_storage::backend::registry::Providers;
use file_storage::backend::remote::{RemoteBackend, RemoteOptions, S3Credentials, S3Store, Store};
use file_storage::backend::{BackendError, StorageBackend};
use file_storage::errors::StorageError;
use file_storage::executor::{Executor, QueueEntry, QueueListing, QueueStatus, Written};
use file_storage::file::{ObjectAttributes, PutMode};
use file_storage::resilience::{ResilienceOptions, RetryOptions, guarded};
use file_storage::storage::{QueueOptions, StorageOptions};
use file_storage::upkeep::{Upkeep, UpkeepOptions};
use file_storage::{BucketConfig, BucketName, FileStorage};
use futures_util::TryStreamExt;
use tempfile::TempDir;

use crate::support::{self, Fixture, TestDatabase, credential_key, keys, maintain, path, service, user};

/// Bodies up to this size are one request.
pub(crate) const SMALL: usize = 1_000_000;

/// A storage, where `home` is the active provider, and `away` the spool and what stands by.
pub(crate) struct Scene {
    pub(crate) dir: TempDir,
    pub(crate) database: Option<TestDatabase>,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) storage: FileStorage,
    pub(crate) home: Arc<dyn StorageBackend>,
    pub(crate) away: Arc<dyn StorageBackend>,
    pub(crate) bucket: BucketName,
}

/// A disk of this name.
pub(crate) fn disk(dir: &Path, name: &str) -> Provider {
    let options = LocalOptions { provider: name.into(), ..LocalOptions::new(dir.join(name)) };
    Arc::new(LocalBackend::open(options).unwrap()).into()
}

/// A prefix of moto's for what lives in this directory, behind a proxy. What fails is tried so often.
pub(crate) fn cloud(dir: &Path, name: &str, endpoint: &str, attempts: u32) -> Provider {
    let store = S3Store {
        bucket: "aerostore".into(),
        endpoint: Some(endpoint.into()),
        region: "us-east-1".into(),
        virtual_hosted: false,
        credentials: Some(S3Credentials {
            access_key_id: "AKIDTEST".into(),
            secret_access_key: "secret".into(),
            session_token: None,
        }),
    };
    let options = RemoteOptions {
        prefix: format!("tests/{}", dir.file_name().unwrap().display()),
        stream_threshold: SMALL,
        ..RemoteOptions::new(name, Store::S3(store), dir.join(name))
    };
    let retry =
        RetryOptions { attempts, initial_delay: Duration::from_millis(50), ..RetryOptions::default() };
    let resilience =
        ResilienceOptions { retry, circuit: None, resend_limit: SMALL, ..ResilienceOptions::remote() };
    let open = |attempts| RemoteBackend::open(options, attempts);
    guarded::<_, BackendError>(&name.into(), resilience, open).unwrap().into()
}

pub(crate) fn moto() -> String {
    std::env::var("AEROSTORE_TEST_S3")
        .unwrap_or_else(|_| panic!("AEROSTORE_TEST_S3 is not set: run scripts/test, or scripts/emulators"))
}

pub(crate) fn options(dir: &Path) -> StorageOptions {
    let queue = QueueOptions { spool: Some("away".into()), ..QueueOptions::default() };
    StorageOptions { queue, ..support::options(dir) }
}

/// Has a storage go on without a spool, so that `away` may get what is moved there.
pub(crate) fn without_spool(storage: &FileStorage, dir: &Path) {
    storage.reconfigure(support::options(dir), keys());
}

pub(crate) fn bytes(size: usize, seed: u8) -> Vec<u8> {
    (0..size).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

impl Scene {
    /// Two disks.
    pub(crate) async fn new() -> Self {
        let (dir, database) = (TempDir::new().unwrap(), TestDatabase::if_asked_for());
        let scene = Self::open(dir, database, |dir| disk(dir, "home")).await;
        scene.storage.create_bucket(&user(1), &scene.bucket, &BucketConfig::default()).await.unwrap();
        scene
    }

    /// Two disks, neither of which is a spool.
    pub(crate) async fn without_spool() -> Self {
        let scene = Self::new().await;
        without_spool(&scene.storage, scene.dir.path());
        scene
    }

    /// A cloud, behind a proxy, and a disk.
    pub(crate) async fn before_a_cloud(proxy: &str) -> Self {
        Self::before_a_cloud_that_is_tried(proxy, 1).await
    }

    pub(crate) async fn before_a_cloud_that_is_tried(proxy: &str, attempts: u32) -> Self {
        let (dir, database) = (TempDir::new().unwrap(), TestDatabase::if_asked_for());
        let scene = Self::open(dir, database, |dir| cloud(dir, "home", proxy, attempts)).await;
        scene.storage.create_bucket(&user(1), &scene.bucket, &BucketConfig::default()).await.unwrap();
        scene
    }

    /// Opens what is there, as a server does when it starts.
    pub(crate) async fn open(
        dir: TempDir,
        database: Option<TestDatabase>,
        home: impl FnOnce(&Path) -> Provider,
    ) -> Self {
        let executor = Fixture::executor(dir.path(), database.as_ref()).await;
        let (home, away) = (home(dir.path()), disk(dir.path(), "away"));
        let backends = (home.backend().clone(), away.backend().clone());
        let providers = Providers::new(home, [away]).failing_over_to(["away"]);
        let options = options(dir.path());
        let storage = FileStorage::new(executor.clone(), providers, keys(), credential_key(), options);
        storage.recover().await.unwrap();
        let bucket = support::bucket("box");
        Self { dir, database, executor, storage, home: backends.0, away: backends.1, bucket }
    }

    pub(crate) async fn put(&self, name: &str, bytes: &[u8]) -> Result<Written, StorageError> {
        self.put_as(name, bytes, false).await
    }

    /// Uploads without waiting for home.
    pub(crate) async fn defer(&self, name: &str, bytes: &[u8]) -> Written {
        self.put_as(name, bytes, true).await.unwrap()
    }

    async fn put_as(&self, name: &str, bytes: &[u8], defers: bool) -> Result<Written, StorageError> {
        let storage = &self.storage;
        let pending = storage.admit_upload(&user(1), &self.bucket, &path(name), PutMode::Upsert).await?;
        let pending = if defers { pending.deferrable() } else { pending };
        let attributes = ObjectAttributes { content_type: "text/plain".into(), ..Default::default() };
        let chunks: Vec<_> =
            bytes.chunks(60_000).map(|chunk| Ok(bytes::Bytes::copy_from_slice(chunk))).collect();
        let body = Box::pin(futures_util::stream::iter(chunks));
        pending.store(attributes, Some(bytes.len() as u64), body).await
    }

    pub(crate) async fn get(&self, name: &str) -> Result<Vec<u8>, StorageError> {
        let download = self.storage.download(&service(), &self.bucket, &path(name)).await?;
        support::collect(download.body(None).await?).await
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.storage.delete(&user(1), &self.bucket, &path(name), None).await.unwrap();
    }

    pub(crate) fn upkeep(&self) -> Upkeep {
        Upkeep::start(&self.storage, UpkeepOptions { interval: None, ..UpkeepOptions::default() })
    }

    /// All entries that there are.
    pub(crate) async fn entries(&self) -> Vec<QueueEntry> {
        let listing = QueueListing { limit: 1000, ..QueueListing::default() };
        self.storage.queue_entries(&service(), &listing).await.unwrap()
    }

    /// Waits until entries are as they should be.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&[QueueEntry]) -> bool) -> Vec<QueueEntry> {
        let mut entries = Vec::new();
        for _ in 0..600 {
            entries = self.entries().await;
            if is_so(&entries) {
                return entries;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not {what}: {entries:#?}");
    }

    pub(crate) async fn until_home(&self) -> Vec<QueueEntry> {
        let is_home = |entry: &QueueEntry| entry.status == QueueStatus::Completed;
        self.until("home", |entries| entries.iter().all(is_home)).await
    }

    /// Gives an entry that nobody works on any more to whoever comes.
    pub(crate) async fn free(&self) {
        for entry in self.entries().await {
            if entry.status == QueueStatus::InProgress {
                self.storage.cancel_entry(&service(), entry.id).await.unwrap();
                self.storage.retry_entry(&service(), entry.id).await.unwrap();
            }
        }
    }

    /// Numbers of blobs at home and away, once they are so: what is not wanted goes behind the callers' backs.
    pub(crate) async fn until_kept(&self, expected: [usize; 2]) {
        let mut kept = [0; 2];
        for _ in 0..300 {
            for (kept, backend) in kept.iter_mut().zip([&self.home, &self.away]) {
                *kept = backend.list().try_collect::<Vec<_>>().await.unwrap().len();
            }
            if kept == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(kept, expected, "blobs at home, and away");
    }

    /// Checks that rows name so many blobs of each provider, that all of them are there, and that no others are.
    pub(crate) async fn audit(&self, expected: [usize; 2]) {
        self.until_kept(expected).await;
        for (name, backend, expected) in
            [("home", &self.home, expected[0]), ("away", &self.away, expected[1])]
        {
            let rows = self.executor.segment_blobs(&maintain(), name, None, 10_000).await.unwrap();
            assert_eq!(rows.len(), expected, "{name}: {rows:?}");
            for row in rows {
                assert_eq!(backend.size(&row.key).await.unwrap(), Some(row.size), "{name}");
            }
        }
        assert_eq!(
            self.executor.recount_usage(&maintain(), false).await.unwrap(),
            [],
            "counters and recount"
        );
    }
}
