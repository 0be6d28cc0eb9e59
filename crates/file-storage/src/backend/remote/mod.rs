//! Cloud stores as providers of blobs: Amazon S3 and what speaks it, Azure Blob Storage, Google Cloud Storage.
//!
//! A blob is an object `{prefix}/{blob key}`. Small ones are one request; large ones go up in parts, several at a time, and
//! each part is tried again by itself. Which bytes go where is decided here; what a request looks like is
//! `object_store`'s business, whose own retries are switched off: those of [`crate::resilience`] are all there are.
//!
//! A mark of what is not settled yet would be two more requests for each upload. So there is none: a crash between a
//! blob and its row leaves a blob that the orphan job finds after its grace. Uploads in parts, which no list of blobs
//! shows, are noted in a journal on the local disk, and given up at the next start; those that the store would not let go of while
//! it did not answer, as soon as it answers again.
//!
//! Beside the blobs, an object `{prefix}/provider-id` says which place this is ([`RemotePlace`]); no list shows it as a blob.
//!
//! The only place that names `object_store`. Knows no rows and no users.

mod azure;
mod fault;
mod gcs;
mod identity;
mod journal;
mod list;
mod names;
mod originals;
mod parts;
mod probe;
mod read;
mod s3;
mod transport;
mod write;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::list::PaginatedListStore;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio_util::task::TaskTracker;

pub use azure::{AzureCredentials, AzureStore};
pub use gcs::{GcsCredentials, GcsStore};
pub use identity::RemotePlace;
pub use s3::{S3Credentials, S3Store};

pub(super) use originals::OpenedObject;

use crate::backend::originals::Adopter;
use crate::backend::{BackendError, BlobInfo, BlobWritten, StorageBackend};
use crate::body::ByteStream;
use crate::file::BlobKey;
use crate::resilience::Attempts;

/// Bytes up to which a blob is one request.
pub const DEFAULT_STREAM_THRESHOLD: usize = 10_000_000;

/// Bytes of a part: the least that S3 takes.
pub const DEFAULT_CHUNK_SIZE: usize = 5 << 20;

/// Where a provider's blobs are kept.
#[derive(Debug, Clone)]
pub enum Store {
    /// Amazon S3, or a server that speaks its protocol.
    S3(S3Store),
    /// Azure Blob Storage.
    Azure(AzureStore),
    /// Google Cloud Storage.
    Gcs(GcsStore),
}

/// How a remote provider is used.
#[derive(Debug, Clone)]
pub struct RemoteOptions {
    /// Its name, as segments record it.
    pub provider: Arc<str>,
    /// Where its blobs are.
    pub store: Store,
    /// What stands before each blob's name there, without a slash at either end; may be empty.
    pub prefix: String,
    /// Blobs up to that many bytes are one request.
    pub stream_threshold: usize,
    /// Bytes of a part of larger ones.
    pub chunk_size: usize,
    /// Idle connections that are kept for further requests.
    pub max_idle_connections: usize,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long one part of an upload may take, before it is sent again.
    pub part_timeout: Duration,
    /// How long a download may stand still, before it is asked for again from there on.
    pub stall_timeout: Duration,
    /// The local directory in which unfinished uploads are noted.
    pub journal: PathBuf,
}

impl RemoteOptions {
    /// With the defaults of SPEC 5.
    pub fn new(provider: impl Into<Arc<str>>, store: Store, journal: impl Into<PathBuf>) -> Self {
        Self {
            provider: provider.into(),
            store,
            prefix: String::new(),
            stream_threshold: DEFAULT_STREAM_THRESHOLD,
            chunk_size: DEFAULT_CHUNK_SIZE,
            max_idle_connections: 10,
            connect_timeout: Duration::from_secs(5),
            part_timeout: Duration::from_secs(100),
            stall_timeout: Duration::from_secs(30),
            journal: journal.into(),
        }
    }
}

/// What is asked of a client of `object_store`.
trait Client: ObjectStore + MultipartStore + PaginatedListStore {}
impl<C: ObjectStore + MultipartStore + PaginatedListStore> Client for C {}

/// Blobs in a cloud store. Clones are one backend, and share one client.
#[derive(Clone)]
pub struct RemoteBackend {
    inner: Arc<Inner>,
}

/// What the operations share.
struct Inner {
    options: RemoteOptions,
    client: Arc<dyn Client>,
    attempts: Attempts,
    journal: journal::Journal,
    /// Uploads in parts that the store was asked to forget, and has not. Those under way are none of them.
    leftovers: Mutex<Vec<parts::Leftover>>,
    /// Blobs that looks at the store may have left there.
    probes: probe::Left,
    /// What goes on though nobody waits for it: uploads being given up.
    tasks: TaskTracker,
}

impl RemoteBackend {
    /// Makes the client, which is kept for good; asks the provider nothing yet. `attempts` is for what is tried again
    /// inside of an operation. Blocks: it is for start-up.
    ///
    /// # Errors
    /// [`BackendError::Io`] for a configuration that can't be, or a journal that can't be made.
    pub fn open(options: RemoteOptions, attempts: Attempts) -> Result<Self, BackendError> {
        let client = connect(&options)?;
        let journal = journal::Journal::open(&options.journal);
        let journal =
            journal.map_err(|error| BackendError::Io { operation: "open", source: Arc::new(error) })?;
        let (leftovers, probes, tasks) = (Mutex::default(), Mutex::default(), TaskTracker::new());
        Ok(Self { inner: Arc::new(Inner { options, client, attempts, journal, leftovers, probes, tasks }) })
    }
}

/// A client of the store; asks it nothing yet.
fn connect(options: &RemoteOptions) -> Result<Arc<dyn Client>, BackendError> {
    let client: Result<Arc<dyn Client>, object_store::Error> = match &options.store {
        Store::S3(store) => store.connect(options).map(|client| Arc::new(client) as _),
        Store::Azure(store) => store.connect(options).map(|client| Arc::new(client) as _),
        Store::Gcs(store) => store.connect(options).map(|client| Arc::new(client) as _),
    };
    client.map_err(|error| fault::open(&error))
}

impl Inner {
    /// Where a blob is.
    fn path(&self, key: &BlobKey) -> Path {
        match self.options.prefix.as_str() {
            "" => Path::from(key.as_str()),
            prefix => Path::from(format!("{prefix}/{key}")),
        }
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BackendError> {
        match self.client.head(&self.path(key)).await.map_err(fault::during("size")) {
            Ok(found) => Ok(Some(found.size)),
            Err(BackendError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BackendError> {
        match self.client.delete(&self.path(key)).await.map_err(fault::during("delete")) {
            Ok(()) | Err(BackendError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl StorageBackend for RemoteBackend {
    fn provider(&self) -> &Arc<str> {
        &self.inner.options.provider
    }

    async fn write(
        &self,
        key: &BlobKey,
        body: ByteStream,
        size_hint: Option<u64>,
    ) -> Result<BlobWritten, BackendError> {
        write::write(&self.inner, key, body, size_hint).await
    }

    async fn settle(&self, key: &BlobKey, kept: bool) {
        if kept {
            return;
        }
        let attempts = self.inner.attempts.about(key);
        if let Err(error) = attempts.run("settle", || self.inner.delete(key)).await {
            tracing::warn!(%key, %error, "an unwanted blob stays until the orphan job finds it");
        }
    }

    async fn read(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<ByteStream, BackendError> {
        read::read(&self.inner, key, range, Some(self.inner.attempts.about(key))).await
    }

    async fn read_once(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<ByteStream, BackendError> {
        read::read(&self.inner, key, range, None).await
    }

    async fn copy(&self, from: &BlobKey, to: &BlobKey) -> Result<(), BackendError> {
        write::copy(&self.inner, from, to).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BackendError> {
        self.inner.delete(key).await
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BackendError> {
        self.inner.size(key).await
    }

    fn list(&self) -> BoxStream<'static, Result<BlobInfo, BackendError>> {
        list::list(self.inner.clone())
    }

    fn lists_in_order(&self) -> bool {
        true
    }

    fn adopter(&self) -> Option<Arc<dyn Adopter>> {
        Some(Arc::new(self.clone()))
    }

    /// Gives up uploads in parts that a crash cut off, while the start goes on. Blobs are left to the orphan job.
    async fn recover(&self) -> Result<Vec<BlobKey>, BackendError> {
        let inner = self.inner.clone();
        self.inner.tasks.spawn(async move { parts::give_up_noted(&inner).await });
        Ok(Vec::new())
    }

    /// Those of this process, and those of dead ones, of which the start may have asked in vain.
    async fn give_up_leftovers(&self) {
        parts::give_up_again(&self.inner).await;
        parts::give_up_noted(&self.inner).await;
    }

    async fn probe(&self) -> Result<(), BackendError> {
        probe::probe(self).await
    }

    async fn drain(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.tasks.reopen();
    }
}
