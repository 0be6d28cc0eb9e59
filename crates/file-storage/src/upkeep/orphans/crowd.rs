//! Far more blobs than rows speak of: another database's, an old backup's, or what crashes left in a place that is ours.
//!
//! Whose they are is told by times of one clock, the provider's: the place's word about itself has one, since which no other database's
//! server starts there, and so have blobs. Of a blob that came to S3 in parts its store says when its writing began, and not when it was
//! there in full. For this that is as good: what began after the word came after it, and what began before it stays, whenever it ended.
//! How long it has been there its time does not say. So such a blob goes when its writing began long enough ago, and besides an earlier
//! run, by the grace, has found it without a row: an upload that went on until now has its row by then, as where there is no crowd.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use futures_util::StreamExt;

use super::{BATCH, Orphans, of};
use crate::Timestamp;
use crate::backend::provider::Provider;
use crate::backend::{BlobInfo, StorageBackend};
use crate::errors::StorageError;
use crate::identities;
use crate::permissions::Access;

/// Orphans that crashes and outages may leave, beside as many as there are blobs that rows know: with more than that, something else
/// may be wrong.
const FEW: u64 = 100;

/// How many times the grace such blobs stay, in a place that is ours: a day, where nothing else is configured. The database may be an old
/// copy of itself, and who brought it back has that long to hear of it.
const GRACES: u32 = 288;

/// That a provider has far more blobs than rows speak of.
pub(super) struct Crowd {
    /// Blobs that rows know there.
    known: u64,
    /// Since when the place has been this database's, where it says so, and no more than a few unknown blobs are older than that.
    ours_since: Option<Timestamp>,
    /// Blobs that were there at this time, or whose writing had begun, are past the longer grace.
    until: Timestamp,
}

impl Crowd {
    /// Whether it may be another database's: then its rows say nothing of the place, either.
    pub(super) fn may_be_foreign(&self) -> bool {
        self.ours_since.is_none()
    }

    /// Whether a blob that no row knows stays in any case.
    pub(super) fn spares(&self, blob: &BlobInfo) -> bool {
        let Some(since) = self.ours_since else { return true };
        blob.earliest().is_none_or(|came| came < since || came > self.until)
    }

    /// Why the run deleted fewer blobs than it found, if it did; says so to all who listen.
    pub(super) fn halts(&self, provider: &str, spared: u64) -> Option<String> {
        let known = self.known;
        let why = match self.ours_since {
            Some(_) if spared == 0 => return None,
            Some(_) => format!(
                "the provider '{provider}' has far more blobs than the {known} that this database knows: {spared} without an object \
                 were left for now. If crashes left them, there is nothing to do: they go once they have been there for {GRACES} \
                 times `cleanup.grace`. If this database is an old copy, they are what it lacks: stop the server before that"
            ),
            None => format!(
                "the provider '{provider}' has far more blobs than the {known} that this database knows: they may be another \
                 database's, and none was deleted. {spared} without an object were counted; if they are nobody's, delete them \
                 by the provider's own tools"
            ),
        };
        tracing::error!(provider, known, spared, why, "orphan job halted: too many blobs without an object");
        metrics::counter!("storage_orphan_job_halted_total").increment(1);
        Some(why)
    }
}

impl Orphans {
    /// Whether a provider has far more blobs than rows speak of. Then this may not be their database, but a new one, or an old backup,
    /// and they are no orphans; unless they came while the place said that it is this database's: no other one's server starts there.
    pub(super) async fn crowd(
        &self,
        provider: &Provider,
        access: &Access,
    ) -> Result<Option<Crowd>, StorageError> {
        let Some(known) = self.known_in_crowd(provider.backend(), access).await? else { return Ok(None) };
        let executor = self.storage.executor();
        let said = match provider.place() {
            Some(place) => identities::ours_since(&**executor, access, provider.name(), &**place).await?,
            None => None,
        };
        let ours_since = match said {
            Some(since) if self.has_few_before(provider.backend(), access, since).await? => Some(since),
            _ => None,
        };
        let now = Utc::now();
        let grace = self.options.borrow().grace.saturating_mul(GRACES);
        let until = TimeDelta::from_std(grace).ok().and_then(|grace| now.checked_sub_signed(grace));
        Ok(Some(Crowd { known, ours_since, until: until.unwrap_or(Timestamp::MIN_UTC) }))
    }

    /// How many blobs rows know at a provider that has far more; `None` where it has not.
    async fn known_in_crowd(
        &self,
        provider: &Arc<dyn StorageBackend>,
        access: &Access,
    ) -> Result<Option<u64>, StorageError> {
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
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    /// Whether no more than a few blobs that no row knows were there before a time, or may have been.
    async fn has_few_before(
        &self,
        provider: &Arc<dyn StorageBackend>,
        access: &Access,
        since: Timestamp,
    ) -> Result<bool, StorageError> {
        let (mut strangers, mut batches) = (0, provider.list().chunks(BATCH));
        while let Some(batch) = batches.next().await {
            let blobs: Result<Vec<BlobInfo>, _> = batch.into_iter().collect();
            let mut blobs = blobs.map_err(of(provider))?;
            blobs.retain(|blob| blob.earliest().is_none_or(|came| came < since));
            strangers += self.unknown_among(access, blobs).await?.len() as u64;
            if strangers > FEW {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
