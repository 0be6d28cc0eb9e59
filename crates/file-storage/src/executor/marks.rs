//! Marks: by which an answer that was kept is known to be still the right one.

use async_trait::async_trait;

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::path::ObjectPath;
use crate::permissions::Access;

/// What is at a bucket now: its row, the objects in it, and the rules by which callers see them; or what is at one object. Another mark
/// means that any of it may have changed. No mark comes back.
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
    /// The mark of a bucket, also of one that is not there (another one each time), as the database has it at some moment of this call: what was committed
    /// before, by whomever, is in it. What this caller was shown of the bucket after a mark was told is what it would be shown now,
    /// as long as the same mark is told.
    ///
    /// `None` where that can't be promised to the caller: policies ask for the time, or look where no mark follows.
    ///
    /// # Errors
    /// Only those of the engine, and a denial of an access that is not to a bucket's objects.
    async fn mark(&self, access: &Access, bucket: &BucketName) -> Result<Option<Mark>, StorageError>;

    /// Whether objects have marks. They have none where looking up a row takes no more than its mark would.
    fn marks_objects(&self) -> bool;

    /// The mark of an object, also of one that is not there: of its row, of its segments wherever they are, and of what decides who is
    /// shown it. It promises of the object's row and segments what [`MarkExecutor::mark`] does of a bucket, and other objects of the bucket have no
    /// part in it.
    ///
    /// `None` where a bucket's would be, where policies look at other rows than the object's, and of objects of many segments; always where
    /// objects have no marks.
    ///
    /// # Errors
    /// Only those of the engine, and a denial of an access that is not to the object.
    async fn object_mark(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<Option<Mark>, StorageError>;
}
