//! Blobs without metadata: which of them are orphans, and that they go.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use chrono::{TimeDelta, Utc};
use futures_util::StreamExt;

use super::crowd::Crowd;
use super::{BATCH, Orphans, of};
use crate::Timestamp;
use crate::backend::{BlobInfo, StorageBackend};
use crate::errors::StorageError;
use crate::executor::{Job, JobKind, JobListing, JobStatus, QueueDepth, QueueStatus};
use crate::file::BlobKey;
use crate::permissions::{Access, RlsContext};
use crate::storage::ScrubRequest;
use crate::upkeep::report::CleanupReport;

/// How far a file may seem older than the entry that was queued before it: a provider's clock is not the database's, and a
/// file system's is a few milliseconds late even on the same machine.
const CLOCKS: TimeDelta = TimeDelta::hours(24);

impl Orphans {
    /// Finds blobs that no row knows, and deletes them. Of a crowd, most are only counted; gives how many of them.
    pub(super) async fn sweep_blobs(
        &mut self,
        provider: &Arc<dyn StorageBackend>,
        access: &Access,
        apply: bool,
        crowd: Option<&Crowd>,
        unknown_before: &HashMap<BlobKey, Instant>,
        report: &mut CleanupReport,
    ) -> Result<u64, StorageError> {
        let (mut spared, mut batches) = (0, provider.list().chunks(BATCH));
        while let Some(batch) = batches.next().await {
            let blobs: Result<Vec<BlobInfo>, _> = batch.into_iter().collect();
            let blobs = blobs.map_err(of(provider))?;
            for orphan in self.orphans_among(provider, access, blobs, crowd).await? {
                if orphan.modified.is_none() && !self.is_unknown_long(&orphan.key, unknown_before) {
                    continue;
                }
                report.add_orphan(provider.provider(), &orphan);
                if crowd.is_some_and(|crowd| crowd.spares(&orphan)) {
                    spared += 1;
                    continue;
                }
                if apply && report.deleted_blobs < u64::from(self.options.borrow().max_per_run) {
                    match provider.delete(&orphan.key).await {
                        Ok(()) => {
                            tracing::warn!(blob = %orphan.key, size = orphan.size, "deleted an orphan blob");
                            report.deleted_blobs += 1;
                        }
                        Err(error) => tracing::warn!(blob = %orphan.key, %error, "orphan not deleted"),
                    }
                }
            }
        }
        Ok(spared)
    }

    /// Whether a blob was without metadata for as long as the grace. Remembers it; no more of them than a run may delete.
    fn is_unknown_long(&mut self, key: &BlobKey, before: &HashMap<BlobKey, Instant>) -> bool {
        let now = Instant::now();
        let since = before.get(key).copied().unwrap_or(now);
        if self.unknown_since.len() < self.options.borrow().max_per_run as usize {
            self.unknown_since.insert(key.clone(), since);
        }
        now.duration_since(since) >= self.options.borrow().grace
    }

    async fn orphans_among(
        &self,
        provider: &Arc<dyn StorageBackend>,
        access: &Access,
        blobs: Vec<BlobInfo>,
        crowd: Option<&Crowd>,
    ) -> Result<Vec<BlobInfo>, StorageError> {
        let now = Utc::now();
        let is_old = |blob: &BlobInfo| {
            blob.modified.is_none_or(|modified| {
                now.signed_duration_since(modified)
                    .to_std()
                    .is_ok_and(|age| age >= self.options.borrow().grace)
            })
        };
        // IMPORTANT: who is being written is asked before the database is: a blob that is committed in between was
        // held then, or is known now.
        let free = |blob: &BlobInfo| !self.storage.leases().is_held(&blob.key);
        let candidates: Vec<BlobInfo> = blobs.into_iter().filter(is_old).filter(free).collect();
        self.storage.hit("orphans.listed").await?;
        let candidates = self.unknown_among(access, candidates).await?;
        if candidates.is_empty() {
            return Ok(candidates);
        }
        // IMPORTANT: which copies are on their way is asked after the blobs were listed, and what is known once more after
        // that: a copy that was listed is on its way still, or is known now, or came to nothing. Another process may need
        // longer than the grace to read it back.
        let on_their_way = self.copies_since(provider.provider(), access).await?;
        let may_be_copy = |blob: &BlobInfo| {
            on_their_way.is_some_and(|since| blob.modified.is_none_or(|modified| modified >= since))
        };
        let candidates = candidates.into_iter().filter(|blob| !may_be_copy(blob)).collect();
        let mut orphans = Vec::new();
        for blob in self.unknown_among(access, candidates).await? {
            // IMPORTANT: asked last. A queued blob is forgotten once it is deleted, by whichever process: one that went
            // that way after it was listed is not known any more, and is no orphan either. What stays in any case is not asked for:
            // there may be as many as another database has.
            let stays = crowd.is_some_and(|crowd| crowd.spares(&blob));
            if stays || provider.exists(&blob.key).await.map_err(of(provider))? {
                orphans.push(blob);
            }
        }
        Ok(orphans)
    }

    /// Those blobs that no row knows.
    pub(super) async fn unknown_among(
        &self,
        access: &Access,
        blobs: Vec<BlobInfo>,
    ) -> Result<Vec<BlobInfo>, StorageError> {
        let keys: Vec<BlobKey> = blobs.iter().map(|blob| blob.key.clone()).collect();
        let known = self.storage.executor().known_blobs(access, &keys).await?;
        let known: HashSet<BlobKey> = known.into_iter().collect();
        Ok(blobs.into_iter().filter(|blob| !known.contains(&blob.key)).collect())
    }

    /// Since when the blobs were queued that are being copied to a provider now, at the earliest; `None` where none is.
    /// Allows for two clocks.
    async fn copies_since(&self, provider: &str, access: &Access) -> Result<Option<Timestamp>, StorageError> {
        let depths = self.storage.executor().queue_depths(access, None).await?;
        let is_under_way =
            |depth: &&QueueDepth| &*depth.target == provider && depth.status == QueueStatus::InProgress;
        // A scrub that repairs makes blobs that no entry speaks of.
        let running = JobListing {
            kind: Some(JobKind::Scrub),
            status: Some(JobStatus::Running),
            limit: 10,
            ..JobListing::default()
        };
        let scrubs = self.storage.jobs(&RlsContext::system("orphan job"), &running).await?;
        let is_repair = |job: &&Job| ScrubRequest::of_params(&job.params).is_ok_and(|request| request.repair);
        let repairs = scrubs.iter().filter(is_repair).map(|job| job.created_at);
        let queued = depths.iter().filter(is_under_way).map(|depth| depth.oldest);
        let oldest = queued.chain(repairs).min();
        Ok(oldest.map(|oldest| oldest.checked_sub_signed(CLOCKS).unwrap_or(oldest)))
    }
}
