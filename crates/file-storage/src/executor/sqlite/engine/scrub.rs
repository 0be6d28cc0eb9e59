//! What is asked for a scrub, each sent to where it runs. On a full disk, too, a bad blob may be replaced: what comes of it is room.

use async_trait::async_trait;

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::sqlite::{SqliteExecutor, queue, scrub};
use crate::executor::{BlobPage, InlinePage, ReferredBlob, ScrubExecutor, ScrubScope, SegmentRow};
use crate::file::BlobKey;
use crate::permissions::Access;

#[async_trait]
impl ScrubExecutor for SqliteExecutor {
    async fn scrub_page(
        &self,
        access: &Access,
        scope: &ScrubScope,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<BlobPage, StorageError> {
        let (access, scope, after) = (access.clone(), scope.clone(), after.cloned());
        self.scan("scrub_page", move |conn| scrub::page(conn, &access, &scope, after.as_ref(), limit)).await
    }

    async fn referred_blob(
        &self,
        access: &Access,
        key: &BlobKey,
    ) -> Result<Option<ReferredBlob>, StorageError> {
        self.read("referred_blob", |conn| scrub::show(conn, access, key))
    }

    async fn inline_page(
        &self,
        access: &Access,
        bucket: Option<&BucketName>,
        after: Option<SegmentRow>,
        limit: u32,
    ) -> Result<InlinePage, StorageError> {
        let (access, bucket) = (access.clone(), bucket.cloned());
        self.scan("inline_page", move |conn| scrub::inline(conn, &access, bucket.as_ref(), after, limit))
            .await
    }

    async fn replace_blob(
        &self,
        access: &Access,
        bad: &ReferredBlob,
        good: &BlobKey,
    ) -> Result<bool, StorageError> {
        let (access, bad, good) = (access.clone(), bad.clone(), good.clone());
        self.writer.free("replace_blob", move |conn| queue::replace(conn, &access, &bad, &good)).await
    }
}
