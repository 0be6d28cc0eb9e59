//! Copies of blobs on other providers, kept beside the blob that rows refer to (SPEC 8, `backup_providers`).
//!
//! A copy is found by the blob that it is of. It is made by an entry of the upload queue with the reason
//! [`QueueReason::Copy`](super::QueueReason::Copy); it follows the blob where that moves, and goes with it. No provider has a
//! blob and a copy of it: where a blob moves to its copy, the copy goes, as it keeps nothing that the blob does not.

use std::sync::Arc;

use async_trait::async_trait;

use crate::errors::StorageError;
use crate::file::BlobKey;
use crate::permissions::Access;

/// Where copies of blobs are to be kept: said by who writes them, and by upkeep.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copies {
    /// Names of the providers. One that has the blob itself gets no copy of it.
    pub on: Vec<Arc<str>>,
    /// How often each is tried.
    pub max_attempts: u32,
}

/// A copy of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobCopy {
    /// The blob that it is of.
    pub blob: BlobKey,
    /// The provider that has the copy.
    pub provider: Arc<str>,
    /// The copy's name there.
    pub key: BlobKey,
    /// Its length, in bytes.
    pub size: u64,
}

/// What copies are to be, as upkeep or an operator has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CopyPlan {
    /// Those that are to be there.
    pub copies: Copies,
    /// Providers on which none are kept any more: what is there goes.
    pub ended: Vec<Arc<str>>,
    /// Providers that are well: only a blob that is on one of them can do without a copy that ends.
    pub well: Vec<Arc<str>>,
    /// Whether what was given up is queued again.
    pub retries_failed: bool,
}

/// A page of blobs that were looked at for their copies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CopiesQueued {
    /// Entries that were made, or queued again.
    pub entries: u64,
    /// Bytes of their blobs.
    pub bytes: u64,
    /// Copies that are deleted, as none are kept where they are.
    pub dropped: u64,
    /// Where to go on; `None` at the end.
    pub next: Option<BlobKey>,
}

/// What keeps account of copies. An [`Executor`](super::Executor) does, by the same rules: all of it is the service role's.
#[async_trait]
pub trait CopyExecutor: Send + Sync {
    /// The copies of a blob, in the order of their providers' names.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn copies_of(&self, access: &Access, blob: &BlobKey) -> Result<Vec<BlobCopy>, StorageError>;

    /// Copies that a provider has, in the order of their own keys, after the given one: for checking that they are there.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn blob_copies(
        &self,
        access: &Access,
        provider: &str,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<Vec<BlobCopy>, StorageError>;

    /// Forgets a copy and queues it for deletion. `false` where it is gone already, or is another one by now; which blob it is of
    /// may have changed.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn drop_copy(&self, access: &Access, copy: &BlobCopy) -> Result<bool, StorageError>;

    /// Looks at up to `limit` blobs of objects and their versions, in the order of their keys, after the given one: queues the copies
    /// that they lack, and drops those that are not kept any more. A copy that waits, or is being made, is not queued again.
    /// On the first page, entries go whose copies are not to be made any more.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn queue_copies(
        &self,
        access: &Access,
        plan: &CopyPlan,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<CopiesQueued, StorageError>;
}
