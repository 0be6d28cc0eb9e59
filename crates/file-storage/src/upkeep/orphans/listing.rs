//! A provider's list of blobs beside rows: what it has need not be asked for one by one.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::rows::Tally;
use crate::backend::{BackendError, BlobInfo, StorageBackend};
use crate::bucket::BucketName;
use crate::executor::SegmentBlob;
use crate::file::BlobKey;

/// A list of blobs that is read along with rows, both in the order of names.
pub(super) struct Listing {
    blobs: BoxStream<'static, Result<BlobInfo, BackendError>>,
    next: Option<BlobInfo>,
}

impl Listing {
    pub(super) fn of(provider: &Arc<dyn StorageBackend>) -> Self {
        Self { blobs: provider.list().fuse().boxed(), next: None }
    }

    /// Those rows whose blobs the list does not have as they should be. They are to be asked for: they may have come after
    /// the list was made. The others are counted as seen.
    pub(super) async fn pass_over(
        &mut self,
        page: Vec<SegmentBlob>,
        tallies: &mut HashMap<BucketName, Tally>,
    ) -> Result<Vec<SegmentBlob>, BackendError> {
        let mut doubtful = Vec::new();
        for segment in page {
            match self.has(&segment.key, segment.size).await? {
                true => tallies.entry(segment.bucket.clone()).or_default().seen += 1,
                false => doubtful.push(segment),
            }
        }
        Ok(doubtful)
    }

    /// Whether the list has a blob of this length. Keys are asked for in their order.
    pub(super) async fn has(&mut self, key: &BlobKey, size: u64) -> Result<bool, BackendError> {
        while self.next.as_ref().is_none_or(|blob| blob.key < *key) {
            match self.blobs.next().await {
                Some(blob) => self.next = Some(blob?),
                None => break,
            }
        }
        Ok(self.next.as_ref().is_some_and(|blob| blob.key == *key && blob.size == size))
    }
}
