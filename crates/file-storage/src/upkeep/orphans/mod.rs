//! The orphan job (SPEC 5): blobs without metadata go; metadata without a blob is looked at twice, and with care.

mod blobs;
mod copies;
mod crowd;
mod listing;
mod rows;

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use uuid::Uuid;

use self::crowd::Crowd;
use super::UpkeepOptions;
use super::report::CleanupReport;
use crate::backend::{BackendError, StorageBackend};
use crate::errors::StorageError;
use crate::executor::Turn;
use crate::file::BlobKey;
use crate::storage::FileStorage;

/// Blobs that are compared with the database at once.
const BATCH: usize = 500;

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
        let (mut failed, mut spared_in_all) = (Ok(()), 0);
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
            let (backend, mut halted) = (provider.backend(), None);
            let compared = async {
                let crowd = self.crowd(provider, &access).await?;
                let crowd = crowd.as_ref();
                let spared =
                    self.sweep_blobs(backend, &access, apply, crowd, &unknown_before, &mut report).await?;
                spared_in_all += spared;
                let crowded = crowd.and_then(|crowd| crowd.halts(provider.name(), spared));
                if crowd.is_some_and(Crowd::may_be_foreign) {
                    halted = crowded;
                    return Ok(());
                }
                let lost = self.check_rows(backend, &access, apply, &missing_before, &mut report).await?;
                if lost.is_none() {
                    self.check_copies(backend, &access, apply, &mut report).await?;
                }
                halted = lost.or(crowded);
                Ok::<_, StorageError>(())
            };
            if let Err(error) = compared.await {
                let name = provider.name();
                tracing::error!(provider = %name, %error, "orphan job could not compare a provider");
                failed = failed.and(Err(error));
            }
            report.halted = report.halted.or(halted);
        }
        if !apply {
            // Only what a run finds that may delete counts as found before.
            self.missing_since = missing_before;
        }
        failed?;
        report.pending_deletions = self.storage.executor().backlog(&access).await?.pending_deletions;
        // Those are found again by each run, and have an alarm of their own.
        let found = report.orphan_blobs.saturating_sub(spared_in_all);
        metrics::counter!("storage_orphan_files_total").increment(found);
        Ok(report)
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
