//! Marks: by which an answer that was kept is known to be still the right one.

use async_trait::async_trait;

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::permissions::Access;

/// What is at a bucket now: its row, the objects in it, and the rules by which callers see them. Another mark means that any of it
/// may have changed. No mark comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(pub(super) Box<str>);

impl Mark {
    /// Bytes that it takes beside its own.
    pub(crate) fn weight(&self) -> usize {
        self.0.len()
    }
}

/// What tells marks. An [`Executor`](super::Executor) does.
#[async_trait]
pub trait MarkExecutor: Send + Sync {
    /// The mark of a bucket, also of one that is not there, as the database has it at some moment of this call: what was committed
    /// before, by whomever, is in it. What this caller was shown of the bucket after a mark was told is what it would be shown now,
    /// as long as the same mark is told.
    ///
    /// `None` where that can't be promised to the caller: policies ask for the time, or look where no mark follows.
    ///
    /// # Errors
    /// Only those of the engine, and a denial of an access that is not to a bucket's objects.
    async fn mark(&self, access: &Access, bucket: &BucketName) -> Result<Option<Mark>, StorageError>;
}
