//! Rows of objects whose blob is not there: what is lost, and when the row may go.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use futures_util::{StreamExt, stream};
use uuid::Uuid;

use super::listing::Listing;
use super::{BATCH, Orphans, not_healthy, of};
use crate::backend::{BackendError, StorageBackend};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::SegmentBlob;
use crate::file::BlobKey;
use crate::permissions::Access;
use crate::upkeep::report::CleanupReport;

/// Blobs whose presence is asked for at once.
const CONCURRENT_CHECKS: usize = 8;

/// Objects of a bucket that a run looked at, and those whose blob was missing.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) seen: u64,
    pub(super) missing: u64,
}

impl Orphans {
    /// Finds rows whose blob is not there. They are deleted only while the provider is healthy, after a blob was
    /// missing in two runs, and never when more than 1% of a bucket looks missing. Says why it touched none.
    pub(super) async fn check_rows(
        &mut self,
        provider: &Arc<dyn StorageBackend>,
        access: &Access,
        apply: bool,
        missing_before: &HashMap<Uuid, Instant>,
        report: &mut CleanupReport,
    ) -> Result<Option<String>, StorageError> {
        let name = provider.provider();
        let unhealthy = |error: BackendError| Some(not_healthy(name, &error));
        if let Err(error) = provider.probe().await {
            return Ok(unhealthy(error));
        }
        let mut halted = None;
        let (missing, tallies) = self.missing_rows(provider, access, report).await?;
        report.add_missing(name, &missing);
        report.missing_blobs += tallies.values().map(|tally| tally.missing).sum::<u64>();
        if let Some((bucket, tally)) = tallies.iter().find(|(_, tally)| tally.missing * 100 > tally.seen) {
            let (lost, seen) = (tally.missing, tally.seen);
            halted =
                Some(format!("{lost} of {seen} files of bucket '{bucket}' look missing; no row was touched"));
            tracing::error!(bucket = %bucket, lost, seen, "orphan job halted: too much looks missing");
            metrics::counter!("storage_orphan_job_halted_total").increment(1);
        } else if let Err(error) = provider.probe().await {
            halted = unhealthy(error);
        }
        if apply {
            self.delete_lost(provider, access, &missing, halted.is_some(), missing_before, report).await?;
        }
        Ok(halted)
    }

    /// Walks over all blobs that rows name. Memory is bounded: no more missing rows are remembered than a run may
    /// delete.
    async fn missing_rows(
        &self,
        provider: &Arc<dyn StorageBackend>,
        access: &Access,
        report: &mut CleanupReport,
    ) -> Result<(Vec<SegmentBlob>, HashMap<BucketName, Tally>), StorageError> {
        let (executor, name) = (self.storage.executor(), provider.provider());
        let mut tallies: HashMap<BucketName, Tally> = HashMap::new();
        let mut missing = Vec::new();
        let mut after: Option<BlobKey> = None;
        let mut listing = provider.lists_in_order().then(|| Listing::of(provider));
        loop {
            let page = executor.segment_blobs(access, name, after.as_ref(), BATCH as u32).await?;
            let Some(last) = page.last().map(|last| last.key.clone()) else { return Ok((missing, tallies)) };
            let page = match &mut listing {
                Some(listing) => listing.pass_over(page, &mut tallies).await.map_err(of(provider))?,
                None => page,
            };
            let gone = self.missing_among(provider, page, &mut tallies, report).await?;
            if !gone.is_empty() {
                // IMPORTANT: only what a row still names is missing. The others were deleted since the page was read.
                let named = executor.segment_blobs(access, name, after.as_ref(), BATCH as u32).await?;
                for segment in named.into_iter().filter(|segment| gone.contains(&segment.key)) {
                    tallies.entry(segment.bucket.clone()).or_default().missing += 1;
                    if missing.len() < self.options.borrow().max_per_run as usize {
                        missing.push(segment);
                    }
                }
            }
            after = Some(last);
        }
    }

    /// Those of these blobs that are not there.
    async fn missing_among(
        &self,
        provider: &Arc<dyn StorageBackend>,
        page: Vec<SegmentBlob>,
        tallies: &mut HashMap<BucketName, Tally>,
        report: &mut CleanupReport,
    ) -> Result<HashSet<BlobKey>, StorageError> {
        self.storage.hit("orphans.rows_read").await?;
        let mut missing = HashSet::new();
        let mut checks = stream::iter(page)
            .map(|segment| async move { (provider.size(&segment.key).await, segment) })
            .buffered(CONCURRENT_CHECKS);
        while let Some((size, segment)) = checks.next().await {
            tallies.entry(segment.bucket.clone()).or_default().seen += 1;
            match size.map_err(of(provider))? {
                Some(size) if size == segment.size => {}
                Some(size) => {
                    let (bucket, path) = (&segment.bucket, &segment.path);
                    tracing::error!(%bucket, %path, expected = segment.size, size, "blob has a wrong length");
                    report.damaged_blobs += 1;
                }
                None => drop(missing.insert(segment.key)),
            }
        }
        Ok(missing)
    }

    /// Deletes the rows that were missing before already, and remembers the others.
    async fn delete_lost(
        &mut self,
        provider: &Arc<dyn StorageBackend>,
        access: &Access,
        missing: &[SegmentBlob],
        halted: bool,
        before: &HashMap<Uuid, Instant>,
        report: &mut CleanupReport,
    ) -> Result<(), StorageError> {
        let now = Instant::now();
        for segment in missing {
            let since = before.get(&segment.version).copied();
            let is_due = since.is_some_and(|since| now.duration_since(since) >= self.options.borrow().grace);
            if halted || !is_due {
                self.missing_since.insert(segment.version, since.unwrap_or(now));
                continue;
            }
            // IMPORTANT: the walk may have taken hours. What somebody brought back meanwhile is not lost.
            self.storage.hit("orphans.row_due").await?;
            if provider.size(&segment.key).await.map_err(of(provider))?.is_some() {
                continue;
            }
            // Its bytes are not lost: they are read from there.
            if !self.storage.executor().copies_of(access, &segment.key).await?.is_empty() {
                tracing::error!(bucket = %segment.bucket, path = %segment.path, "a blob is missing, and has a copy");
                continue;
            }
            if self.storage.executor().delete_lost_object(access, segment).await? {
                let (bucket, path) = (&segment.bucket, &segment.path);
                tracing::error!(%bucket, %path, "deleted the row of an object whose bytes are lost");
                report.deleted_rows += 1;
            }
        }
        Ok(())
    }
}
