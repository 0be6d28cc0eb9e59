//! Moving an object: its row changes place, its bytes do not.

use uuid::Uuid;

use super::blobs::PlacedBlob;
use super::{CopyOptions, FileStorage, How, Passage, Weight};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{Announced, Relocation};
use crate::file::{PutMode, StorageObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, Operation, RlsContext};

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

    /// What a move would take of quotas at its target, of an object that must still be this version, and does not take another one's
    /// place; or why it would not be let in there, as far as that is known before it is tried. Changes nothing.
    ///
    /// # Errors
    /// As a move, and [`StorageError::PreconditionFailed`] where it is another version.
    pub(crate) async fn weigh_version(
        &self,
        context: &RlsContext,
        from: (&BucketName, &ObjectPath),
        version: Uuid,
        to: (&BucketName, &ObjectPath),
    ) -> Result<Weight, StorageError> {
        let source = self.info(context, from.0, from.1).await?;
        if source.version != version {
            let (bucket, path) = (from.0.clone(), from.1.clone());
            return Err(StorageError::PreconditionFailed { bucket, path });
        }
        let passage = Passage { from: from.0, to: to.0, how: How::Move, mode: &PutMode::Create };
        let mut weights = self.weigh(context, passage, &[(&source, to.1.clone())]).await;
        weights.pop().unwrap_or_else(|| Err(StorageError::internal("an object was not weighed")))
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
