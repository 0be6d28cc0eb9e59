//! What a write asks before its bytes, what it is let in with, and what it did.

use std::sync::Arc;

use uuid::Uuid;

use crate::bucket::Bucket;
use crate::errors::StorageError;
use crate::file::{ObjectAttributes, StorageObject};
use crate::path::ObjectPath;
use crate::quota::QuotaEnforcement;

/// Most objects of a batch that are written in one go: where one of them is refused, so many are asked one by one.
pub(super) const TOGETHER: usize = 250;

/// What is known of an object before its bytes. Policies may ask about it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Announced {
    /// What the upload says of it; `None` while that is not known.
    pub attributes: Option<ObjectAttributes>,
    /// Its size, in bytes, where that is certain.
    pub size: Option<u64>,
    /// Nothing more will be asked: what is not known stays so, and is NULL.
    pub is_final: bool,
}

impl Announced {
    /// An object that is there already, or its like.
    pub fn known(attributes: &ObjectAttributes, size: u64) -> Self {
        Self { attributes: Some(attributes.clone()), size: Some(size), is_final: false }
    }
}

/// Leave to write: what an upload must respect while its bytes come in.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The bucket, with its limits.
    pub bucket: Bucket,
    /// Bytes that the tightest quota has left, counting out what the write would replace; `None`: no quota.
    pub quota_left: Option<QuotaLeft>,
    /// All quotas over the write: its bucket's, its user's, its folders', that of all that is stored.
    pub quotas: Vec<QuotaLeft>,
    /// What is done about what does not fit.
    pub enforcement: QuotaEnforcement,
    /// Policies may ask for more than was announced: worth asking again once it is known, before the bytes.
    pub asks_more: bool,
}

/// The room that a quota leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaLeft {
    /// Whose: `user`, `bucket`, `folder` or `global`.
    pub scope: &'static str,
    /// Which one, as people write it.
    pub name: Arc<str>,
    /// Bytes in use.
    pub used: u64,
    /// The quota, in bytes.
    pub limit: u64,
    /// Bytes of the object that the write would replace, which it gives back.
    pub returned: u64,
    /// What is done about what does not fit.
    pub enforcement: QuotaEnforcement,
}

impl QuotaLeft {
    /// Whether an object of `size` bytes fits, or is let in although it does not.
    ///
    /// # Errors
    /// [`StorageError::QuotaExceeded`].
    pub fn check(&self, size: u64) -> Result<(), StorageError> {
        if self.has_room(size) || self.enforcement != QuotaEnforcement::Enforce {
            return Ok(());
        }
        let (scope, name, used, limit) = (self.scope, self.name.clone(), self.used, self.limit);
        Err(StorageError::QuotaExceeded { scope, name, used, limit, requested: size })
    }

    /// The same of a size that is known for certain: where one is let in that does not fit, the log says so.
    ///
    /// # Errors
    /// As [`QuotaLeft::check`].
    pub fn admit(&self, size: u64) -> Result<(), StorageError> {
        if self.enforcement == QuotaEnforcement::Warn && !self.has_room(size) {
            let Self { scope, name, used, limit, .. } = self;
            tracing::warn!(scope, %name, used, limit, requested = size, "a write is let in over a quota");
        }
        self.check(size)
    }

    fn has_room(&self, size: u64) -> bool {
        let after = self.used.saturating_sub(self.returned).saturating_add(size);
        after <= self.limit || size <= self.returned
    }
}

/// What became of a move.
#[derive(Debug, Clone, PartialEq)]
pub enum Relocation {
    /// It is done; the object as it now is.
    Moved(Box<StorageObject>),
    /// Nothing: the object's bytes stay where they are as a version, and so must be copied.
    KeepsVersions,
}

/// What a write did.
#[derive(Debug, Clone)]
pub struct Written {
    /// The object as it now is.
    pub object: StorageObject,
    /// Whether the path was free before.
    pub created: bool,
    /// Its entry in the upload queue, where its bytes are on the spool, as its caller did not want to wait.
    pub queued: Option<Uuid>,
}

/// Whether an error is a decision about one object of many, and says nothing of the others.
pub(crate) fn is_of_one_object(error: &StorageError) -> bool {
    use StorageError as E;
    matches!(
        error,
        E::InvalidRequest { .. }
            | E::InvalidPath { .. }
            | E::AuthRequired(_)
            | E::Unauthorized(_)
            | E::BucketNotFound { .. }
            | E::ObjectExists { .. }
            | E::ObjectNotFound { .. }
            | E::PreconditionFailed { .. }
            | E::PayloadTooLarge { .. }
            | E::UnsupportedMediaType { .. }
            | E::QuotaExceeded { .. }
            | E::OriginalUnusable { .. }
    )
}

/// An object, or a version of one, that went as its bucket was emptied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emptied {
    /// Where it was.
    pub path: ObjectPath,
    /// Its version.
    pub version: Uuid,
    /// Its size, in bytes.
    pub size: u64,
}
