//! A storage on a disk, `home`, and another one, `away`, that may keep copies; and ways to harm their files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use file_storage::backend::local::{LocalBackend, LocalOptions};
use file_storage::backend::provider::Provider;
use file_storage::backend::registry::Providers;
use file_storage::executor::{
    Executor, Job, JobStatus, QueueListing, QueueStatus, ReferredBlob, ScrubScope, Written,
};
use file_storage::file::{ObjectAttributes, PutMode};
use file_storage::storage::{ScrubOptions, ScrubRequest, StorageOptions};
use file_storage::upkeep::{Upkeep, UpkeepOptions};
use file_storage::{BucketConfig, BucketName, FileStorage, StorageError};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    self, Fixture, TestDatabase, chunked, credential_key, keys, maintain, path, service, user,
};

pub(crate) struct Scene {
    pub(crate) dir: TempDir,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) storage: FileStorage,
    pub(crate) bucket: BucketName,
    pub(crate) upkeep: Upkeep,
    _database: Option<TestDatabase>,
}

/// What befalls a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    Flip,
    Cut,
    Grow,
    Remove,
}

impl Harm {
    pub(crate) const ALL: [Self; 4] = [Self::Flip, Self::Cut, Self::Grow, Self::Remove];

    /// What a scrub calls it.
    pub(crate) fn problem(self) -> &'static str {
        match self {
            Self::Flip | Self::Cut | Self::Grow => "mismatch",
            Self::Remove => "missing",
        }
    }
}

fn disk(dir: &Path, name: &str) -> Provider {
    let options = LocalOptions { provider: name.into(), ..LocalOptions::new(dir.join(name)) };
    Arc::new(LocalBackend::open(options).unwrap()).into()
}

pub(crate) fn bytes(size: usize, seed: u8) -> Vec<u8> {
    (0..size).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

pub(crate) fn repair() -> ScrubRequest {
    ScrubRequest { repair: true, ..ScrubRequest::default() }
}

impl Scene {
    /// Nothing has a copy.
    pub(crate) async fn without_copies() -> Self {
        Self::with(&[]).await
    }

    /// Nothing has a copy, and scrubs begin by themselves.
    pub(crate) async fn scrubbed_every(interval: Duration) -> Self {
        Self::open(&[], Some(interval)).await
    }

    /// Everything gets a copy away.
    pub(crate) async fn with_copies() -> Self {
        Self::with(&["away"]).await
    }

    async fn with(backups: &[&str]) -> Self {
        Self::open(backups, None).await
    }

    async fn open(backups: &[&str], interval: Option<Duration>) -> Self {
        let (dir, database) = (TempDir::new().unwrap(), TestDatabase::if_asked_for());
        let executor = Fixture::executor(dir.path(), database.as_ref()).await;
        let (storage, upkeep) = Self::process(dir.path(), &executor, backups, interval);
        storage.recover().await.unwrap();
        let bucket = support::bucket("box");
        storage.create_bucket(&user(1), &bucket, &BucketConfig::default()).await.unwrap();
        Self { dir, executor, storage, bucket, upkeep, _database: database }
    }

    /// A process over these metadata and disks: its leases are its own.
    fn process(
        dir: &Path,
        executor: &Arc<dyn Executor>,
        backups: &[&str],
        interval: Option<Duration>,
    ) -> (FileStorage, Upkeep) {
        let providers = Providers::new(disk(dir, "home"), [disk(dir, "away")]).copying_to(backups);
        let scrub = ScrubOptions { bytes_per_second: 0, interval };
        let options = StorageOptions { scrub, ..support::options(dir) };
        let storage = FileStorage::new(executor.clone(), providers, keys(), credential_key(), options);
        let options = UpkeepOptions { interval: None, ..UpkeepOptions::default() };
        (storage.clone(), Upkeep::start(&storage, options))
    }

    pub(crate) async fn put(&self, name: &str, bytes: &[u8]) -> Written {
        let pending = self.storage.admit_upload(&user(1), &self.bucket, &path(name), PutMode::Upsert).await;
        let attributes = ObjectAttributes { content_type: "text/plain".into(), ..Default::default() };
        pending.unwrap().store(attributes, Some(bytes.len() as u64), chunked(bytes)).await.unwrap()
    }

    pub(crate) async fn get(&self, name: &str) -> Result<Vec<u8>, StorageError> {
        let download = self.storage.download(&service(), &self.bucket, &path(name)).await?;
        support::collect(download.body(None).await?).await
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.storage.delete(&user(1), &self.bucket, &path(name), None).await.unwrap();
    }

    /// Waits until nothing is on its way any more.
    pub(crate) async fn until_copied(&self) {
        let listing = QueueListing { limit: 1000, ..QueueListing::default() };
        for _ in 0..600 {
            let entries = self.storage.queue_entries(&service(), &listing).await.unwrap();
            if entries.iter().all(|entry| entry.status == QueueStatus::Completed) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not everything was copied");
    }

    /// Asks for a scrub, and waits for its end.
    pub(crate) async fn scrub(&self, request: &ScrubRequest) -> Job {
        let job = self.storage.start_scrub(&service(), request).await.unwrap();
        let ended = self.until_ended(job.id).await;
        assert_eq!((ended.status, &ended.error), (JobStatus::Completed, &None), "{ended:?}");
        ended
    }

    pub(crate) async fn until_ended(&self, id: uuid::Uuid) -> Job {
        let mut job = None;
        for _ in 0..1200 {
            let now = self.storage.job(&service(), id).await.unwrap();
            if now.status.is_ended() {
                return now;
            }
            job = Some(now);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the scrub does not end: {job:?}");
    }

    /// Blobs and copies as rows have them, of an object and a provider.
    pub(crate) async fn blobs(&self, name: &str, provider: &str) -> Vec<ReferredBlob> {
        let scope = ScrubScope { provider: Some(provider.into()), bucket: None };
        let page = self.executor.scrub_page(&maintain(), &scope, None, 10_000).await.unwrap();
        page.blobs.into_iter().filter(|blob| blob.path == path(name)).collect()
    }

    /// The file of an object's only blob, or copy, on a disk.
    pub(crate) async fn file(&self, name: &str, provider: &str) -> PathBuf {
        let blobs = self.blobs(name, provider).await;
        assert_eq!(blobs.len(), 1, "{name} on {provider}: {blobs:?}");
        self.dir.path().join(provider).join("blobs").join(blobs[0].key.as_str())
    }

    pub(crate) async fn harm(&self, name: &str, provider: &str, harm: Harm) -> PathBuf {
        let file = self.file(name, provider).await;
        let mut bytes = fs::read(&file).unwrap();
        match harm {
            Harm::Flip => bytes[20_000] ^= 0x10,
            Harm::Cut => bytes.truncate(30_000),
            Harm::Grow => bytes.push(0),
            Harm::Remove => {
                fs::remove_file(&file).unwrap();
                return file;
            }
        }
        fs::write(&file, bytes).unwrap();
        file
    }

    /// Numbers of files of blobs on a disk.
    pub(crate) fn files(&self, provider: &str) -> usize {
        fn count(dir: &Path) -> usize {
            let Ok(entries) = fs::read_dir(dir) else { return 0 };
            entries
                .map(|entry| entry.unwrap())
                .map(|entry| if entry.file_type().unwrap().is_dir() { count(&entry.path()) } else { 1 })
                .sum()
        }
        count(&self.dir.path().join(provider).join("blobs"))
    }

    /// Waits until so many files are left: what rows let go of goes behind their backs.
    pub(crate) async fn until_files(&self, home: usize, away: usize) {
        for _ in 0..300 {
            if (self.files("home"), self.files("away")) == (home, away) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!((self.files("home"), self.files("away")), (home, away));
    }
}

/// What a report counts by this name.
pub(crate) fn count(job: &Job, name: &str) -> u64 {
    job.report.counts.get(name).and_then(Value::as_u64).unwrap_or(0)
}

/// A report's findings: path, provider, problem, whether it is repaired.
pub(crate) fn findings(job: &Job) -> Vec<(String, String, String, bool)> {
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let all = job.report.counts.get("findings").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut found: Vec<_> = all
        .iter()
        .map(|it| {
            let repaired = it["repaired"].as_bool().unwrap();
            (text(it, "path"), text(it, "provider"), text(it, "problem"), repaired)
        })
        .collect();
    found.sort();
    found
}
