//! What S3 keeps beside objects and buckets: tags, and which pages may call a bucket.

use uuid::Uuid;

use super::FileStorage;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::extra::{BucketExtra, BucketExtraUpdate, Tag};
use crate::file::StorageObject;
use crate::path::ObjectPath;
use crate::permissions::{Operation, RlsContext};
use crate::versions::VersionId;

impl FileStorage {
    /// Replaces all tags of an object. It takes the permission to overwrite it; its bytes and its time stay.
    ///
    /// # Errors
    /// [`StorageError::ObjectNotFound`], [`StorageError::BucketNotFound`], or a denial.
    pub async fn tag(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        path: &ObjectPath,
        tags: Vec<Tag>,
    ) -> Result<StorageObject, StorageError> {
        let access = self.access(context, Operation::TagObject, Some(bucket)).await?;
        // What can't be seen is not there to be tagged.
        self.executor().object(&access, bucket, path).await?;
        self.executor().tag_object(&access, bucket, path, &tags).await
    }

    /// The same for a version of an object.
    ///
    /// # Errors
    /// [`StorageError::VersionNotFound`], [`StorageError::VersionIsMarker`], [`StorageError::BucketNotFound`], or a denial.
    pub async fn tag_version(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
        tags: Vec<Tag>,
    ) -> Result<StorageObject, StorageError> {
        let access = self.access(context, Operation::TagObject, Some(bucket)).await?;
        let named = self.executor().open_version(&access, bucket, path, version).await?.object;
        match self.executor().object(&access, bucket, path).await {
            Ok(current) if current.version == named.version => {
                self.executor().tag_object(&access, bucket, path, &tags).await
            }
            _ => self.executor().tag_version(&access, bucket, path, version, &tags).await,
        }
    }

    /// What is kept beside a bucket, for those who may change it.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial.
    pub async fn bucket_extra(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
    ) -> Result<BucketExtra, StorageError> {
        let access = self.access(context, Operation::UpdateBucket, Some(bucket)).await?;
        self.executor().bucket_extra(&access, bucket).await
    }

    /// Changes what is kept beside a bucket.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial.
    pub async fn update_bucket_extra(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        update: &BucketExtraUpdate,
    ) -> Result<(), StorageError> {
        let access = self.access(context, Operation::UpdateBucket, Some(bucket)).await?;
        self.executor().update_bucket_extra(&access, bucket, update).await
    }

    /// Whom a bucket is of, for the server itself: to be compared with whom a caller expects, and told to nobody.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`].
    pub async fn own_bucket_owner(&self, bucket: &BucketName) -> Result<Option<Uuid>, StorageError> {
        let context = RlsContext::system("expected owner of a bucket");
        let access = self.access(&context, Operation::ShowBucket, Some(bucket)).await?;
        Ok(self.executor().bucket(&access, bucket).await?.owner_id)
    }

    /// What is kept beside a bucket, for the server itself: which pages may call it is to be told to any page.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`].
    pub async fn own_bucket_extra(&self, bucket: &BucketName) -> Result<BucketExtra, StorageError> {
        let context = RlsContext::system("cross-origin rules of a bucket");
        let access = self.access(&context, Operation::UpdateBucket, Some(bucket)).await?;
        self.executor().bucket_extra(&access, bucket).await
    }
}
