//! Operations on buckets.

use super::FileStorage;
use crate::bucket::{Bucket, BucketConfig, BucketName, BucketUpdate};
use crate::errors::StorageError;
use crate::executor::BucketListing;
use crate::permissions::{Operation, RlsContext};

/// Objects that one transaction deletes at most, so that emptying a large bucket does not hold up others.
const EMPTY_BATCH: u32 = 1000;

/// Unfinished uploads that one transaction gives up at most: one may have ten thousand parts.
const UPLOADS_BATCH: u32 = 10;

/// How often a forced deletion empties a bucket again into which others keep writing.
const FORCE_ATTEMPTS: u32 = 10;

impl FileStorage {
    /// Creates a bucket. Its owner is the caller's user; a service caller without one makes a system bucket.
    ///
    /// # Errors
    /// [`StorageError::BucketExists`], or a denial.
    pub async fn create_bucket(
        &self,
        context: &RlsContext,
        name: &BucketName,
        config: &BucketConfig,
    ) -> Result<Bucket, StorageError> {
        let access = self.access(context, Operation::CreateBucket, Some(name)).await?;
        if let limit @ 1.. = self.inner.options.load().max_file_size
            && config.max_file_size > limit
        {
            return Err(StorageError::PayloadTooLarge { limit });
        }
        let made = self.executor().create_bucket(&access, name, config).await?;
        self.ring_events();
        Ok(made)
    }

    /// Shows a bucket.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial.
    pub async fn bucket(&self, context: &RlsContext, name: &BucketName) -> Result<Bucket, StorageError> {
        let access = self.access(context, Operation::ShowBucket, Some(name)).await?;
        self.executor().bucket(&access, name).await
    }

    /// Lists the buckets that the caller may see.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn list_buckets(
        &self,
        context: &RlsContext,
        listing: &BucketListing,
    ) -> Result<Vec<Bucket>, StorageError> {
        let access = self.access(context, Operation::ListBuckets, None).await?;
        self.executor().list_buckets(&access, listing).await
    }

    /// Changes a bucket's policy and limits. Objects that are there already stay.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial.
    pub async fn update_bucket(
        &self,
        context: &RlsContext,
        name: &BucketName,
        update: &BucketUpdate,
    ) -> Result<Bucket, StorageError> {
        let access = self.access(context, Operation::UpdateBucket, Some(name)).await?;
        if let limit @ 1.. = self.inner.options.load().max_file_size
            && update.max_file_size.is_some_and(|size| size > limit)
        {
            return Err(StorageError::PayloadTooLarge { limit });
        }
        let changed = self.executor().update_bucket(&access, name, update).await?;
        self.ring_events();
        Ok(changed)
    }

    /// Deletes all objects of a bucket, batch by batch; gives their number. What is written meanwhile may stay. Unfinished
    /// uploads are given up: everybody's, but where policies speak of the caller's role their own alone.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial.
    pub async fn empty_bucket(&self, context: &RlsContext, name: &BucketName) -> Result<u64, StorageError> {
        let access = self.access(context, Operation::EmptyBucket, Some(name)).await?;
        let most = u64::from(UPLOADS_BATCH);
        while self.executor().discard_uploads(&access, name, UPLOADS_BATCH).await?.len() as u64 == most {}
        let (mut deleted, mut limit) = (0, EMPTY_BATCH);
        loop {
            let batch = match self.executor().empty_bucket(&access, name, limit).await {
                // On a full disk, a smaller transaction may fit into what the reserve gives.
                Err(StorageError::DiskFull { .. }) if limit > 1 => {
                    limit = (limit / 10).max(1);
                    continue;
                }
                outcome => outcome?,
            };
            // One that is short may have ended at a fault, which the next one meets.
            if batch.is_empty() {
                return Ok(deleted);
            }
            deleted += batch.len() as u64;
            self.inner.deletions_queued.notify_one();
            self.ring_events();
        }
    }

    /// Deletes a bucket; with `force` also one that has objects, or uploads that others have begun.
    ///
    /// # Errors
    /// [`StorageError::BucketNotEmpty`], [`StorageError::BucketNotFound`], or a denial.
    pub async fn delete_bucket(
        &self,
        context: &RlsContext,
        name: &BucketName,
        force: bool,
    ) -> Result<(), StorageError> {
        let access = self.access(context, Operation::DeleteBucket, Some(name)).await?;
        let mut attempts = if force { FORCE_ATTEMPTS } else { 0 };
        loop {
            match self.executor().delete_bucket(&access, name).await {
                Err(StorageError::BucketNotEmpty { .. }) if attempts > 0 => {
                    attempts -= 1;
                    self.empty_bucket(context, name).await?;
                }
                outcome => {
                    self.ring_events();
                    return outcome;
                }
            }
        }
    }
}
