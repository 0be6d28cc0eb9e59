//! The local disk as a provider of blobs.
//!
//! `root/blobs/{bucket uuid}/{2 hex}/{uuid}` are the blobs; `root/staging/{instance uuid}/` holds, for each
//! upload in flight of one process, the file it is written to, and after its publication a second name of the
//! same file: the mark that it is not settled yet. So a crash leaves a trace whose size is that of the work in
//! flight, and start-up never walks the blobs.
//!
//! Several processes may share a root. May use the file system; knows no rows and no users.

mod adopt;
mod buffer;
mod copy;
mod error;
mod folder;
mod identity;
pub(super) mod instance;
mod layout;
mod publish;
mod read;
mod recover;
mod scan;
mod settle;
mod stage;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::backend::originals::Adopter;
use crate::backend::{BackendError, BlobInfo, BlobWritten, StorageBackend};
use crate::body::{self, ByteStream};
use crate::failpoint::Scope;
use crate::file::BlobKey;

pub use identity::Directory;
pub(crate) use layout::blob_below;
pub(in crate::backend) use layout::make_directories;

/// How many steps of uploads touch the disk at once. More only wait for the same device, and would take every
/// thread of the blocking pool from readers and from the database; fewer would share fewer journal commits.
const DISK_WRITERS: usize = 40;

/// How many reads wait for the device at once.
const DISK_READERS: usize = 16;

/// How many large files are sent to the device ahead of their end at once. One that finds no place does without:
/// where many are written, the device is busy anyway.
const FLUSHES_AHEAD: usize = 8;

/// What a success promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The bytes are on stable storage.
    #[default]
    Full,
    /// The operating system has the bytes; a power failure may take them.
    Relaxed,
}

/// Where and how blobs are kept.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// The directory that holds everything; made where it is missing.
    pub root: PathBuf,
    /// The provider's name, as segments record it.
    pub provider: Arc<str>,
    /// What a success promises.
    pub durability: Durability,
}

impl LocalOptions {
    /// The provider `local`, fully durable, under `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), provider: "local".into(), durability: Durability::Full }
    }
}

/// Blobs on the local disk. Clones are one backend.
#[derive(Clone)]
pub struct LocalBackend {
    inner: Arc<Inner>,
}

/// What the operations share.
struct Inner {
    provider: Arc<str>,
    durability: Durability,
    layout: layout::Layout,
    instance: instance::Instance,
    folders: folder::Folders,
    buffers: Arc<buffer::Pool>,
    /// Memory for what uploads collect, in units of [`write::UNIT`].
    memory: Arc<Semaphore>,
    writers: Arc<Semaphore>,
    readers: Arc<Semaphore>,
    flushes: Arc<Semaphore>,
    tasks: TaskTracker,
    settled: settle::Queue,
    /// Set once the file system has turned out to have no links: marks are files of their own from then on.
    without_links: AtomicBool,
    /// Blobs that [`recover`] found and nobody has settled yet.
    recovered: Mutex<BTreeSet<BlobKey>>,
    failpoints: Scope,
}

impl LocalBackend {
    /// Opens the blobs under a root, and makes the root where it is missing. Blocks: it is for start-up.
    ///
    /// # Errors
    /// [`BackendError::Io`] where the directory cannot be made or used, or `blobs` and `staging` lie on two
    /// file systems.
    pub fn open(options: LocalOptions) -> Result<Self, BackendError> {
        let layout = layout::Layout::make(&options.root).map_err(error::io("open"))?;
        let instance = instance::Instance::start(layout.staging()).map_err(error::io("open"))?;
        let inner = Inner {
            provider: options.provider,
            durability: options.durability,
            instance,
            folders: folder::Folders::default(),
            buffers: Arc::default(),
            memory: Arc::new(Semaphore::new(write::MEMORY_UNITS)),
            writers: Arc::new(Semaphore::new(DISK_WRITERS)),
            readers: Arc::new(Semaphore::new(DISK_READERS)),
            flushes: Arc::new(Semaphore::new(FLUSHES_AHEAD)),
            tasks: TaskTracker::new(),
            settled: settle::Queue::default(),
            without_links: AtomicBool::new(false),
            recovered: Mutex::default(),
            failpoints: Scope::new(layout.root()),
            layout,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Waits until everything is done that goes on behind finished calls: marks being removed, and what
    /// uploads left whose callers went away. For an orderly shutdown.
    pub async fn drain(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.tasks.reopen();
    }
}

#[async_trait]
impl StorageBackend for LocalBackend {
    fn provider(&self) -> &Arc<str> {
        &self.inner.provider
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
        settle::settle(&self.inner, key, kept).await;
    }

    async fn read(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<ByteStream, BackendError> {
        read::read(&self.inner, key, range).await
    }

    async fn copy(&self, from: &BlobKey, to: &BlobKey) -> Result<(), BackendError> {
        copy::copy(&self.inner, from, to).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BackendError> {
        let (inner, key) = (self.inner.clone(), key.clone());
        self.inner.for_writing("delete", move || inner.delete(&key).map_err(error::io("delete"))).await
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BackendError> {
        let path = self.inner.layout.blob(key);
        let size = move || error::found(std::fs::metadata(path)).map_err(error::io("size"));
        Ok(self.inner.for_reading("size", size).await?.map(|metadata| metadata.len()))
    }

    fn list(&self) -> BoxStream<'static, Result<BlobInfo, BackendError>> {
        scan::list(self.inner.clone())
    }

    fn adopter(&self) -> Option<Arc<dyn Adopter>> {
        Some(Arc::new(self.clone()))
    }

    async fn recover(&self) -> Result<Vec<BlobKey>, BackendError> {
        let inner = self.inner.clone();
        self.inner
            .for_writing("recover", move || recover::recover(&inner).map_err(error::io("recover")))
            .await
    }

    async fn probe(&self) -> Result<(), BackendError> {
        // Not one that others use: servers which share the store look at it at the same time.
        let key = BlobKey::new(Uuid::now_v7());
        let bytes = bytes::Bytes::copy_from_slice(key.as_str().as_bytes());
        let probed = async {
            self.write(&key, body::from_bytes(bytes.clone()), Some(bytes.len() as u64)).await?;
            let mut read = self.read(&key, None).await?;
            while let Some(chunk) = read.next().await {
                chunk.map_err(|error| BackendError::Body(Box::new(error)))?;
            }
            Ok(())
        };
        let probed = probed.await;
        self.settle(&key, false).await;
        probed
    }

    async fn drain(&self) {
        Self::drain(self).await;
    }
}

impl Inner {
    /// Runs a step of a write where blocking is allowed, when its turn comes. A step that has begun goes on to
    /// its end, also when the caller's future is dropped.
    async fn for_writing<T: Send + 'static>(
        &self,
        operation: &'static str,
        step: impl FnOnce() -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        self.blocking(&self.writers, operation, step).await
    }

    /// Runs a step of a read where blocking is allowed, when its turn comes.
    async fn for_reading<T: Send + 'static>(
        &self,
        operation: &'static str,
        step: impl FnOnce() -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        self.blocking(&self.readers, operation, step).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        turns: &Arc<Semaphore>,
        operation: &'static str,
        step: impl FnOnce() -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let turn = turns.clone().acquire_owned().await.map_err(error::other(operation))?;
        self.spawn(turn, step).await.map_err(error::other(operation))?
    }

    /// Runs a step on a blocking thread. Its outcome is dropped there where nobody waits for it any more: so
    /// that [`LocalBackend::drain`] sees the cleaning up that this may start.
    fn spawn<T: Send + 'static>(
        &self,
        turn: OwnedSemaphorePermit,
        step: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (outcome, waiting) = oneshot::channel();
        self.tasks.spawn_blocking(move || {
            let done = step();
            drop(turn);
            drop(outcome.send(done));
        });
        waiting
    }
}
