//! The orphan job (SPEC 5): blobs without metadata go; metadata without a blob is looked at twice, and with care.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Instant;

use chrono::{TimeDelta, Utc};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use tokio::sync::watch;
use uuid::Uuid;

use super::UpkeepOptions;
use super::report::CleanupReport;
use crate::Timestamp;
use crate::backend::{BackendError, BlobInfo, StorageBackend};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{Job, JobKind, JobListing, JobStatus, QueueDepth, QueueStatus, SegmentBlob, Turn};
use crate::file::BlobKey;
use crate::permissions::{Access, RlsContext};
use crate::storage::{FileStorage, ScrubRequest};

/// Blobs that are compared with the database at once.
const BATCH: usize = 500;

/// Orphans that crashes and outages may leave, beside as many as there are blobs that rows know: with more than that, something else
/// is wrong.
const FEW: u64 = 100;

/// How far a file may seem older than the entry that was queued before it: a provider's clock is not the database's, and a
/// file system's is a few milliseconds late even on the same machine.
const CLOCKS: TimeDelta = TimeDelta::hours(24);

/// Blobs whose presence is asked for at once.
const CONCURRENT_CHECKS: usize = 8;

/// The job, with what it remembers between two runs.
pub(super) struct Orphans {
    storage: FileStorage,
    options: watch::Receiver<UpkeepOptions>,
    /// Objects whose blob was missing in earlier runs, by version, and since when by the monotonic clock: a jump
    /// of the wall clock must not make a loss look old.
    missing_since: HashMap<Uuid, Instant>,
    /// Blobs without metadata that earlier runs saw, and since when: of those whose provider does not say when they were
    /// there in full.
    unknown_since: HashMap<BlobKey, Instant>,
}

/// Objects of a bucket that a run looked at, and those whose blob was missing.
#[derive(Default)]
struct Tally {
    seen: u64,
    missing: u64,
}

impl Orphans {
    pub(super) fn new(storage: FileStorage, options: watch::Receiver<UpkeepOptions>) -> Self {
        Self { storage, options, missing_since: HashMap::new(), unknown_since: HashMap::new() }
    }

    /// Leave to run while no other process over the same metadata does; `None` where one does.
    pub(super) async fn turn(&self) -> Result<Option<Turn>, StorageError> {
        let access = self.storage.maintain("turn at the orphan job")?;
        self.storage.executor().orphan_job_turn(&access).await
    }

    /// Gives up all uploads whose time is over.
    pub(super) async fn expire_uploads(&self) -> Result<(), StorageError> {
        while super::uploads::run_round(&self.storage).await? {}
        Ok(())
    }

    /// One run, to be made in one's turn. Idempotent: what it does not do, the next one does. A provider that fails does
    /// not keep the others from theirs.
    pub(super) async fn run(&mut self, apply: bool) -> Result<CleanupReport, StorageError> {
        let access = self.storage.maintain("orphan job")?;
        let mut report = CleanupReport::default();
        let mut failed = Ok(());
        let missing_before = std::mem::take(&mut self.missing_since);
        let unknown_before = std::mem::take(&mut self.unknown_since);
        let providers: Vec<_> = self.storage.providers().all().cloned().collect();
        for provider in &providers {
            // One that only just stopped answering is told by a look, which waits for a shorter time than a list, and is told to all.
            if provider.is_remote() && !provider.is_away() {
                let _ = provider.probe().await;
            }
            if provider.is_away() {
                // What is known not to answer is waited for in the next run.
                let why = not_healthy(provider.name(), &provider.status().error.unwrap_or_default());
                tracing::warn!(provider = %provider.name(), why, "orphan job passes over a provider");
                report.halted = report.halted.or(Some(why));
                continue;
            }
            let (provider, mut halted) = (provider.backend(), None);
            let compared = async {
                halted = self.is_foreign(provider, &access).await?;
                if halted.is_some() {
                    return Ok(());
                }
                self.sweep_blobs(provider, &access, apply, &unknown_before, &mut report).await?;
                halted = self.check_rows(provider, &access, apply, &missing_before, &mut report).await?;
                if halted.is_none() {
                    self.check_copies(provider, &access, apply, &mut report).await?;
                }
                Ok::<_, StorageError>(())
            };
            if let Err(error) = compared.await {
                let name = provider.provider();
                tracing::error!(provider = %name, %error, "orphan job could not compare a provider");
                failed = failed.and(Err(error));
            }
            report.halted = report.halted.or(halted);
        }
        failed?;
        report.pending_deletions = self.storage.executor().backlog(&access).await?.pending_deletions;
        metrics::counter!("storage_orphan_files_total").increment(report.orphan_blobs);
        Ok(report)
    }

    /// Says so where a provider has far more blobs than rows speak of: this is not their database then, but a new one, or an old
    /// backup, and they are no orphans.
    async fn is_foreign(
        &self,
        provider: &Arc<dyn StorageBackend>,
        access: &Access,
    ) -> Result<Option<String>, StorageError> {
        let name = provider.provider();
        let (mut listed, mut most, mut blobs) = (0_u64, FEW, provider.list());
        while let Some(blob) = blobs.next().await {
            blob.map_err(of(provider))?;
            listed += 1;
            if listed <= most {
                continue;
            }
            // Asked here, and again where more are listed: what was uploaded meanwhile is known by then.
            let usage = self.storage.executor().provider_usage(access).await?;
            let known = usage.iter().find(|usage| usage.provider == *name);
            let known = known.map_or(0, |usage| usage.blobs + usage.copies + usage.pending_deletions);
            most = known.saturating_mul(2).saturating_add(FEW);
            if listed > most {
                tracing::error!(provider = %name, known, "a provider has far more blobs than this database knows: none is deleted");
                metrics::counter!("storage_orphan_job_halted_total").increment(1);
                return Ok(Some(format!(
                    "the provider '{name}' has more than {most} blobs, and this database knows {known}: they may be another \
                     database's, and none was deleted. What is nobody's is deleted by the provider's own tools"
                )));
            }
        }
        Ok(None)
    }

    /// Finds blobs that no row knows, and deletes them.
    async fn sweep_blobs(
        &mut self,
        provider: &Arc<dyn StorageBackend>,
        access: &Access,
        apply: bool,
        unknown_before: &HashMap<BlobKey, Instant>,
        report: &mut CleanupReport,
    ) -> Result<(), StorageError> {
        let mut batches = provider.list().chunks(BATCH);
        while let Some(batch) = batches.next().await {
            let blobs: Result<Vec<BlobInfo>, _> = batch.into_iter().collect();
            let blobs = blobs.map_err(of(provider))?;
            for orphan in self.orphans_among(provider, access, blobs).await? {
                if orphan.modified.is_none() && !self.is_unknown_long(&orphan.key, unknown_before) {
                    continue;
                }
                report.add_orphan(provider.provider(), &orphan);
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
        Ok(())
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
            // that way after it was listed is not known any more, and is no orphan either.
            if provider.exists(&blob.key).await.map_err(of(provider))? {
                orphans.push(blob);
            }
        }
        Ok(orphans)
    }

    /// Those blobs that no row knows.
    async fn unknown_among(
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

    /// Finds rows whose blob is not there. They are deleted only while the provider is healthy, after a blob was
    /// missing in two runs, and never when more than 1% of a bucket looks missing. Says why it touched none.
    async fn check_rows(
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
            self.delete_lost(access, &missing, halted.is_some(), missing_before, report).await?;
        }
        Ok(halted)
    }

    /// Finds copies that are not there, as long as the provider is healthy. They are forgotten, so that they are made anew: no
    /// row of an object is touched.
    async fn check_copies(
        &self,
        provider: &Arc<dyn StorageBackend>,
        access: &Access,
        apply: bool,
        report: &mut CleanupReport,
    ) -> Result<(), StorageError> {
        let (executor, name) = (self.storage.executor(), provider.provider());
        let most = self.options.borrow().max_per_run as usize;
        let (mut missing, mut after) = (Vec::new(), None);
        let mut listing = provider.lists_in_order().then(|| Listing::of(provider));
        while missing.len() < most {
            let page = executor.blob_copies(access, name, after.as_ref(), BATCH as u32).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for copy in page {
                let is_listed = match &mut listing {
                    Some(listing) => listing.has(&copy.key, copy.size).await.map_err(of(provider))?,
                    None => false,
                };
                if !is_listed && provider.size(&copy.key).await.map_err(of(provider))? != Some(copy.size) {
                    missing.push(copy);
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        provider.probe().await.map_err(of(provider))?;
        for copy in missing {
            // IMPORTANT: what was deleted since the page was read is no row any more, and was not missing.
            let is_missing = match apply {
                true => executor.drop_copy(access, &copy).await?,
                false => executor.copies_of(access, &copy.blob).await?.contains(&copy),
            };
            if is_missing {
                tracing::error!(blob = %copy.blob, provider = %name, "a copy is missing; it is made anew");
                report.missing_copies += 1;
            }
        }
        if apply {
            self.storage.ring_copies();
            self.storage.ring_deletions();
        }
        Ok(())
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
            // Its bytes are not lost: they are read from there.
            if !self.storage.executor().copies_of(access, &segment.key).await?.is_empty() {
                tracing::error!(bucket = %segment.bucket, path = %segment.path, "a blob is missing, and has a copy");
                continue;
            }
            if self.storage.executor().delete_lost_object(access, segment.version).await? {
                let (bucket, path) = (&segment.bucket, &segment.path);
                tracing::error!(%bucket, %path, "deleted the row of an object whose bytes are lost");
                report.deleted_rows += 1;
            }
        }
        Ok(())
    }
}

/// A list of blobs that is read along with rows, both in the order of names.
struct Listing {
    blobs: BoxStream<'static, Result<BlobInfo, BackendError>>,
    next: Option<BlobInfo>,
}

impl Listing {
    fn of(provider: &Arc<dyn StorageBackend>) -> Self {
        Self { blobs: provider.list().fuse().boxed(), next: None }
    }

    /// Those rows whose blobs the list does not have as they should be. They are to be asked for: they may have come after
    /// the list was made. The others are counted as seen.
    async fn pass_over(
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
    async fn has(&mut self, key: &BlobKey, size: u64) -> Result<bool, BackendError> {
        while self.next.as_ref().is_none_or(|blob| blob.key < *key) {
            match self.blobs.next().await {
                Some(blob) => self.next = Some(blob?),
                None => break,
            }
        }
        Ok(self.next.as_ref().is_some_and(|blob| blob.key == *key && blob.size == size))
    }
}

/// Why rows or blobs of a provider were left alone.
fn not_healthy(provider: &str, error: &dyn Display) -> String {
    format!("the provider '{provider}' is not healthy: {error}")
}

/// Says which provider an error is of.
fn of(provider: &Arc<dyn StorageBackend>) -> impl Fn(BackendError) -> StorageError {
    |error| error.into_storage_error(provider.provider())
}
