//! Scrubs.

use async_trait::async_trait;

use super::{WatchedExecutor, asked};
use crate::audit::{Action, Entry};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{BlobPage, InlinePage, ReferredBlob, ScrubExecutor, ScrubScope, SegmentRow};
use crate::file::BlobKey;
use crate::permissions::Access;

#[async_trait]
impl ScrubExecutor for WatchedExecutor {
    async fn scrub_page(
        &self,
        access: &Access,
        scope: &ScrubScope,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<BlobPage, StorageError> {
        asked("scrub_page", self.inner.scrub_page(access, scope, after, limit)).await
    }

    async fn referred_blob(
        &self,
        access: &Access,
        key: &BlobKey,
    ) -> Result<Option<ReferredBlob>, StorageError> {
        asked("referred_blob", self.inner.referred_blob(access, key)).await
    }

    async fn inline_page(
        &self,
        access: &Access,
        bucket: Option<&BucketName>,
        after: Option<SegmentRow>,
        limit: u32,
    ) -> Result<InlinePage, StorageError> {
        asked("inline_page", self.inner.inline_page(access, bucket, after, limit)).await
    }

    async fn replace_blob(
        &self,
        access: &Access,
        bad: &ReferredBlob,
        good: &BlobKey,
    ) -> Result<bool, StorageError> {
        let entry = Entry::of(access, Action::Change)
            .object(&bad.bucket, &bad.path)
            .bytes(bad.size)
            .subject("bytes repaired");
        self.change(
            entry,
            asked("replace_blob", self.inner.replace_blob(access, bad, good)),
            |done, entry| done.then_some(entry),
        )
        .await
    }
}
