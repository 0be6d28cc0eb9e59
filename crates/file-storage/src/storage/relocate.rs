//! Moving an object: its row changes place, its bytes do not.

use uuid::Uuid;

use super::blobs::PlacedBlob;
use super::{CopyOptions, FileStorage};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{Announced, QuotaLeft, Relocation};
use crate::file::{PutMode, StorageObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, Operation, RlsContext};
use crate::quota::QuotaEnforcement;

impl FileStorage {
    /// Moves an object to another path or bucket. It keeps its id and owner and gets a new version. A move takes
    /// the object away from its old place, so that it needs the permission to delete there. Out of a bucket that keeps
    /// versions, a move is a copy, which is the caller's, and a delete marker.
    ///
    /// # Errors
    /// Those of reading and deleting the source and of writing the target; the target bucket's limits hold.
    pub async fn move_object(
        &self,
        context: &RlsContext,
        from: (&BucketName, &ObjectPath),
        to: (&BucketName, &ObjectPath),
        mode: PutMode,
    ) -> Result<StorageObject, StorageError> {
        self.relocate(context, (from, None), to, mode).await
    }

    /// The same of an object that must still be this version.
    ///
    /// # Errors
    /// The same, and [`StorageError::PreconditionFailed`] where it is another one.
    pub(super) async fn move_version(
        &self,
        context: &RlsContext,
        from: (&BucketName, &ObjectPath),
        version: Uuid,
        to: (&BucketName, &ObjectPath),
        mode: PutMode,
    ) -> Result<StorageObject, StorageError> {
        self.relocate(context, (from, Some(version)), to, mode).await
    }

    async fn relocate(
        &self,
        context: &RlsContext,
        (from, version): ((&BucketName, &ObjectPath), Option<Uuid>),
        to: (&BucketName, &ObjectPath),
        mode: PutMode,
    ) -> Result<StorageObject, StorageError> {
        let access = self.access(context, Operation::Move(&mode), Some(to.0)).await?;
        let source = self.executor().object(&access, from.0, from.1).await?;
        if from != to {
            // A moved row keeps its owner, which admission does not know: what policies say of it is said in the end.
            let announced = Announced::default();
            let mut admission = self.executor().admit_put(&access, to.0, to.1, &mode, &announced).await?;
            // The transaction itself knows what a move within a quota gives back.
            admission.quota_left = None;
            self.check_limits(&admission, &source.content_type, source.size)?;
        }
        self.hit("move.before_commit").await?;
        let moved = match version {
            None => self.executor().move_object(&access, from, to, &mode).await?,
            Some(version) => self.executor().move_version(&access, from, version, to, &mode).await?,
        };
        let moved = match moved {
            Relocation::Moved(moved) => *moved,
            Relocation::KeepsVersions => self.move_copied(access, (from, version), to, mode).await?,
        };
        self.inner.deletions_queued.notify_one();
        self.copies_were_queued();
        self.ring_events();
        Ok(moved)
    }

    /// Whether a move would be let in at its target, as far as that is known before it is tried. Changes nothing.
    pub(crate) async fn may_move(
        &self,
        context: &RlsContext,
        source: &StorageObject,
        to: (&BucketName, &ObjectPath),
        mode: PutMode,
    ) -> Result<(), StorageError> {
        let access = self.access(context, Operation::Move(&mode), Some(to.0)).await?;
        let announced = Announced::default();
        let mut admission = self.executor().admit_put(&access, to.0, to.1, &mode, &announced).await?;
        admission.quota_left = None;
        self.check_limits(&admission, &source.content_type, source.size)
    }

    /// The same of an object that must still be this version, and does not take another one's place, behind others that take so many bytes
    /// in the bucket that it comes to.
    pub(crate) async fn may_move_version(
        &self,
        context: &RlsContext,
        from: (&BucketName, &ObjectPath),
        version: Uuid,
        to: (&BucketName, &ObjectPath),
        before: u64,
    ) -> Result<(), StorageError> {
        let source = self.info(context, from.0, from.1).await?;
        if source.version != version {
            let (bucket, path) = (from.0.clone(), from.1.clone());
            return Err(StorageError::PreconditionFailed { bucket, path });
        }
        let mode = PutMode::Create;
        let access = self.access(context, Operation::Move(&mode), Some(to.0)).await?;
        let announced = Announced::default();
        let mut admission = self.executor().admit_put(&access, to.0, to.1, &mode, &announced).await?;
        // What a user and everything hold does not change, nor what a bucket does within which it moves.
        let counts = |left: &QuotaLeft| {
            let is_held_to = left.enforcement == QuotaEnforcement::Enforce;
            is_held_to && from.0 != to.0 && matches!(left.scope, "bucket" | "folder")
        };
        admission.quota_left = admission.quota_left.filter(counts).map(|mut left| {
            left.used = left.used.saturating_add(before);
            left
        });
        self.check_limits(&admission, &source.content_type, source.size)
    }

    /// Moves an object out of a bucket that keeps versions: what stays as a version keeps its bytes, so that they are copied.
    async fn move_copied(
        &self,
        access: Access,
        (from, expected): ((&BucketName, &ObjectPath), Option<Uuid>),
        to: (&BucketName, &ObjectPath),
        mode: PutMode,
    ) -> Result<StorageObject, StorageError> {
        let source = self.open_version_or_current(&access, from.0, from.1, None).await?;
        let version = source.object().version;
        if expected.is_some_and(|expected| expected != version) {
            let (bucket, path) = (from.0.clone(), from.1.clone());
            return Err(StorageError::PreconditionFailed { bucket, path });
        }
        let attributes = CopyOptions::default().over(&source);
        let announced = Announced::known(&attributes, source.object().size);
        let admission = self.executor().admit_put(&access, to.0, to.1, &mode, &announced).await?;
        self.check_limits(&admission, &attributes.content_type, source.object().size)?;
        let (object, lease) = self.copied(&source, attributes, &admission.bucket, to).await?;
        let (storage, from) = (self.clone(), (from.0.clone(), from.1.clone()));
        let blobs = object.segments.iter().filter_map(|segment| PlacedBlob::of(&segment.place)).collect();
        let commit = async move {
            let from = (&from.0, &from.1);
            storage.executor().move_copied(&access, from, version, object, &mode).await
        };
        Ok(self.settled(blobs, lease, commit).await?.object)
    }
}
