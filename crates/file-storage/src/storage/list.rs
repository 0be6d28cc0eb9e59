//! Listing objects.

use std::sync::Arc;

use super::{FileStorage, SharedPage};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::Listing;
use crate::path::ObjectPath;
use crate::permissions::{Operation, RlsContext};

impl FileStorage {
    /// Lists what the caller may see of a bucket: nothing, where it is closed or missing.
    ///
    /// # Errors
    /// [`StorageError::InvalidRequest`] for a limit of zero or a foreign cursor.
    pub async fn list(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        listing: &Listing,
    ) -> Result<Arc<SharedPage>, StorageError> {
        if listing.limit == 0 {
            return Err(StorageError::InvalidRequest { message: "limit must be at least 1".to_owned() });
        }
        let access = self.access(context, Operation::List, Some(bucket)).await?;
        self.cached_list(&access, bucket, listing).await
    }

    /// Whether a bucket is there and the caller may look into it, be it empty: a list shows nothing in either case.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial.
    pub async fn reach(&self, context: &RlsContext, bucket: &BucketName) -> Result<(), StorageError> {
        let access = self.access(context, Operation::Info, Some(bucket)).await?;
        // What is answered of an object that is not there, the bucket decides, and no row does.
        let nowhere = ObjectPath::parse("\u{a0}")?;
        match self.executor().object(&access, bucket, &nowhere).await {
            Ok(_) | Err(StorageError::ObjectNotFound { .. } | StorageError::ObjectDeleted { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
