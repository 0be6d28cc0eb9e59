//! What is asked for a scrub, each sent to where it runs.

use async_trait::async_trait;

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::postgres::session::retried;
use crate::executor::postgres::{PostgresExecutor, queue, scrub};
use crate::executor::{BlobPage, InlinePage, ReferredBlob, ScrubExecutor, ScrubScope, SegmentRow};
use crate::file::BlobKey;
use crate::permissions::Access;

#[async_trait]
impl ScrubExecutor for PostgresExecutor {
    async fn scrub_page(
        &self,
        access: &Access,
        scope: &ScrubScope,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<BlobPage, StorageError> {
        self.run("scrub_page", scrub::page(&self.pool, access, scope, after, limit)).await
    }

    async fn referred_blob(
        &self,
        access: &Access,
        key: &BlobKey,
    ) -> Result<Option<ReferredBlob>, StorageError> {
        self.run("referred_blob", scrub::show(&self.pool, access, key)).await
    }

    async fn inline_page(
        &self,
        access: &Access,
        bucket: Option<&BucketName>,
        after: Option<SegmentRow>,
        limit: u32,
    ) -> Result<InlinePage, StorageError> {
        self.run("inline_page", scrub::inline(&self.pool, access, bucket, after, limit)).await
    }

    async fn replace_blob(
        &self,
        access: &Access,
        bad: &ReferredBlob,
        good: &BlobKey,
    ) -> Result<bool, StorageError> {
        let replace = async { retried!(queue::replace(&self.pool, access, bad, good)) };
        self.run("replace_blob", replace).await
    }
}
