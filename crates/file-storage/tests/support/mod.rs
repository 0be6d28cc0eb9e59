//! A storage on a local disk in a directory of its own, callers, and an audit of what it left. Its metadata is in
//! SQLite there, or in PostgreSQL (`AEROSTORE_TEST_ENGINE=postgres`).
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "test support: each suite uses a part of it"
)]

mod database;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use file_storage::backend::StorageBackend;
use file_storage::backend::local::{LocalBackend, LocalOptions};
use file_storage::body::{self, ByteStream};
use file_storage::credentials::CredentialKey;
use file_storage::errors::StorageError;
use file_storage::executor::postgres::{PostgresAddress, PostgresExecutor, PostgresOptions};
use file_storage::executor::sqlite::{SqliteExecutor, SqliteOptions};
use file_storage::executor::{
    Collation, Executor, Listing, ObjectSort, PageStart, SegmentBlob, SortOrder, Written,
};
use file_storage::failpoint;
use file_storage::file::{ObjectAttributes, PutMode, Sha256};
use file_storage::multipart::UploadAt;
use file_storage::permissions::{Access, AccessRules, Operation};
use file_storage::signed_url::SigningKeys;
use file_storage::storage::{DownloadBody, StorageOptions};
use file_storage::upkeep::{Upkeep, UpkeepOptions};
use file_storage::{BucketConfig, BucketName, BucketPolicy, FileStorage, ObjectPath, RlsContext, VersionId};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Map, json};
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) use database::TestDatabase;

/// A storage that lives in a temporary directory.
pub struct Fixture {
    pub dir: TempDir,
    pub database: Option<TestDatabase>,
    pub storage: FileStorage,
    pub executor: Arc<dyn Executor>,
    pub backend: Arc<dyn StorageBackend>,
}

/// Objects up to this size are inline in these tests, so that both ways are short.
pub const INLINE: usize = 64;

pub fn keys() -> SigningKeys {
    SigningKeys::new(b"a secret for tests, of 32 bytes or more", [])
}

pub fn credential_key() -> CredentialKey {
    CredentialKey::new(b"a master key for tests")
}

pub fn options(dir: &Path) -> StorageOptions {
    StorageOptions {
        inline_threshold: INLINE,
        failpoints: failpoint::Scope::new(dir),
        ..StorageOptions::default()
    }
}

impl Fixture {
    pub async fn new() -> Self {
        Self::open(TempDir::new().unwrap()).await
    }

    /// Opens what is in the directory, as a server does when it starts.
    pub async fn open(dir: TempDir) -> Self {
        let options = options(dir.path());
        Self::open_with(dir, options, |backend| backend).await
    }

    /// Metadata in the directory, or in the database.
    pub async fn executor(dir: &Path, database: Option<&TestDatabase>) -> Arc<dyn Executor> {
        match database {
            None => Arc::new(SqliteExecutor::open(SqliteOptions::new(dir.join("metadata.db"))).unwrap()),
            Some(database) => {
                let address = PostgresAddress::parse(&database.url()).unwrap();
                let options = PostgresOptions {
                    failpoints: failpoint::Scope::new(dir),
                    ..PostgresOptions::new(address)
                };
                Arc::new(PostgresExecutor::open(options).await.unwrap())
            }
        }
    }

    /// As [`Fixture::open`], with other options and a decorated backend.
    pub async fn open_with(
        dir: TempDir,
        options: StorageOptions,
        decorate: impl FnOnce(Arc<dyn StorageBackend>) -> Arc<dyn StorageBackend>,
    ) -> Self {
        Self::open_on((dir, TestDatabase::if_asked_for()), options, decorate).await
    }

    /// As [`Fixture::open_with`], on a database that is there already.
    pub async fn open_on(
        (dir, database): (TempDir, Option<TestDatabase>),
        options: StorageOptions,
        decorate: impl FnOnce(Arc<dyn StorageBackend>) -> Arc<dyn StorageBackend>,
    ) -> Self {
        let executor = Self::executor(dir.path(), database.as_ref()).await;
        let backend =
            decorate(Arc::new(LocalBackend::open(LocalOptions::new(dir.path().join("local"))).unwrap()));
        let storage = FileStorage::new(executor.clone(), backend.clone(), keys(), credential_key(), options);
        storage.recover().await.unwrap();
        Self { dir, database, storage, executor, backend }
    }

    /// Stops without any goodbye, and opens again what is on the disk.
    pub async fn crash_and_reopen(self) -> Self {
        let Self { dir, database, storage, executor, backend } = self;
        drop((storage, executor, backend));
        let options = options(dir.path());
        Self::open_on((dir, database), options, |backend| backend).await
    }

    /// Opens an empty disk beside the same metadata, of which nothing may be left, as the next case of many. A connection to PostgreSQL is
    /// new at each opening, and costs more than what most of them ask it.
    pub async fn on_an_empty_disk(self) -> Self {
        let Self { dir, database, storage, executor, backend } = self;
        backend.drain().await;
        drop((storage, backend));
        let disk = dir.path().join("local");
        std::fs::remove_dir_all(&disk).unwrap();
        let backend = Arc::new(LocalBackend::open(LocalOptions::new(disk)).unwrap());
        let options = options(dir.path());
        let storage = FileStorage::new(executor.clone(), backend.clone(), keys(), credential_key(), options);
        storage.recover().await.unwrap();
        Self { dir, database, storage, executor, backend }
    }

    pub async fn bucket(&self, owner: &RlsContext, name: &str, policy: BucketPolicy) -> BucketName {
        let name = bucket(name);
        let config = BucketConfig { policy, ..BucketConfig::default() };
        self.storage.create_bucket(owner, &name, &config).await.unwrap();
        name
    }

    pub async fn put(
        &self,
        caller: &RlsContext,
        at: (&BucketName, &ObjectPath),
        mode: PutMode,
        bytes: &[u8],
    ) -> Result<Written, StorageError> {
        let pending = self.storage.admit_upload(caller, at.0, at.1, mode).await?;
        let attributes = ObjectAttributes { content_type: "text/plain".into(), ..Default::default() };
        pending.store(attributes, Some(bytes.len() as u64), chunked(bytes)).await
    }

    pub async fn get(
        &self,
        caller: &RlsContext,
        at: (&BucketName, &ObjectPath),
    ) -> Result<Vec<u8>, StorageError> {
        collect(self.storage.download(caller, at.0, at.1).await?.body(None).await?).await
    }

    /// Has blobs that nothing refers to any more deleted, by an upkeep that runs until none is left; where none waits, none runs.
    pub async fn settle(&self) {
        let access = maintain();
        let owed = async || self.executor.backlog(&access).await.unwrap().pending_deletions;
        if owed().await == 0 {
            return;
        }
        let options = UpkeepOptions { interval: None, ..UpkeepOptions::default() };
        let upkeep = Upkeep::start(&self.storage, options);
        for _ in 0..4000 {
            if owed().await == 0 {
                upkeep.stop().await;
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("queued blobs were not deleted");
    }

    /// Whether a blob is of an upload that is not an object yet.
    async fn is_of_upload(&self, segment: &SegmentBlob) -> bool {
        let access = Access::check(&service(), Operation::FindUpload, None, AccessRules::default()).unwrap();
        let at = UploadAt { bucket: segment.bucket.clone(), path: segment.path.clone(), id: segment.version };
        self.executor.multipart(&access, &at).await.is_ok()
    }

    /// Checks, once nothing is going on, what must always hold: blobs and rows are one to one (FS-I1), every object and
    /// version reads back whole, and a recount confirms every counter.
    pub async fn audit(&self) {
        self.settle().await;
        let access = maintain();
        let on_disk: BTreeSet<_> =
            self.backend.list().map_ok(|blob| blob.key.to_string()).try_collect().await.unwrap();
        let segments = self.executor.segment_blobs(&access, "local", None, 100_000).await.unwrap();
        let in_rows: BTreeSet<_> = segments.iter().map(|segment| segment.key.to_string()).collect();
        assert_eq!(on_disk, in_rows, "blobs on the disk, and blobs that rows name");
        for segment in &segments {
            if self.is_of_upload(segment).await {
                continue;
            }
            // Of the current version, or of an old one.
            let (at, version) = ((&segment.bucket, &segment.path), VersionId::Id(segment.version));
            let download = self.storage.download_version(&service(), at.0, at.1, version).await.unwrap();
            let object = download.object().clone();
            let bytes = collect(download.body(None).await.unwrap()).await.unwrap();
            assert_eq!(bytes.len() as u64, object.size);
            if let Some(checksum) = object.checksum {
                assert_eq!(Sha256::of(&bytes), checksum, "{}/{}", object.bucket, object.path);
            }
        }
        assert_eq!(self.executor.recount_usage(&access, false).await.unwrap(), [], "counters and recount");
        // Marks of what is settled are taken away behind the answers.
        self.backend.drain().await;
        assert_eq!(staged_files(self.dir.path()), Vec::<String>::new(), "nothing is left staged");
    }
}

/// Files that an unfinished upload left in the staging area.
pub fn staged_files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![dir.join("local").join("staging")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if !entry.file_name().to_string_lossy().contains("lock") {
                found.push(entry.path().display().to_string());
            }
        }
    }
    found
}

pub fn maintain() -> Access {
    let rules = AccessRules::default();
    Access::check(&RlsContext::system("test"), Operation::Maintain, None, rules).unwrap()
}

pub fn anon() -> RlsContext {
    RlsContext::anon("test")
}

/// A user, by a number.
pub fn user(number: u128) -> RlsContext {
    RlsContext::user(Uuid::from_u128(number), Default::default(), "test")
}

pub fn service() -> RlsContext {
    RlsContext::service(None, Default::default(), "test")
}

/// A member of a team, by a claim.
pub fn member(number: u128, team: &str) -> RlsContext {
    let claims = Map::from_iter([("team".to_owned(), json!(team))]);
    RlsContext::user(Uuid::from_u128(number), claims, "test")
}

/// The first hundred objects of a bucket, by name.
pub fn everything() -> Listing {
    Listing {
        prefix: String::new(),
        delimiter: None,
        search: String::new(),
        collation: Collation::Bytes,
        sort: (ObjectSort::Name, SortOrder::Ascending),
        limit: 100,
        start: PageStart::First,
    }
}

pub fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).unwrap()
}

pub fn path(path: &str) -> ObjectPath {
    ObjectPath::parse(path).unwrap()
}

/// A body in chunks of some bytes.
pub fn chunked(bytes: &[u8]) -> ByteStream {
    let chunks: Vec<_> = bytes.chunks(50).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    if chunks.is_empty() {
        body::from_bytes(Bytes::new())
    } else {
        futures_util::stream::iter(chunks).boxed()
    }
}

pub async fn collect(body: DownloadBody) -> Result<Vec<u8>, StorageError> {
    match body {
        DownloadBody::Bytes(bytes) => Ok(bytes.to_vec()),
        DownloadBody::Stream(stream) => {
            let chunks: Vec<Bytes> = stream.try_collect().await?;
            Ok(chunks.concat())
        }
    }
}
