//! Moving an object: its row changes place, its bytes do not.

use super::FileStorage;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::Announced;
use crate::file::{PutMode, StorageObject};
use crate::path::ObjectPath;
use crate::permissions::{Operation, RlsContext};

impl FileStorage {
    /// Moves an object to another path or bucket. It keeps its id and owner and gets a new version. A move takes
    /// the object away from its old place, so that it needs the permission to delete there.
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
        let moved = self.executor().move_object(&access, from, to, &mode).await?;
        self.inner.deletions_queued.notify_one();
        Ok(moved)
    }
}
