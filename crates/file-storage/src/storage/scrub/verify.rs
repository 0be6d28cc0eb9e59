//! One blob, read and compared with what its row says.

use std::time::Duration;

use aws_lc_rs::digest;
use futures_util::StreamExt;
use tokio::time::timeout;

use super::ScrubProblem;
use crate::backend::BackendError;
use crate::errors::StorageError;
use crate::executor::ReferredBlob;
use crate::file::Sha256;
use crate::permissions::Access;
use crate::storage::FileStorage;

/// How long a read may stand still. The provider's own limits end it sooner; a disk that hangs has none.
const STALL: Duration = Duration::from_secs(120);

/// What reading a blob told.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is what was stored.
    Good,
    /// Nothing refers to it any more: it was deleted, replaced or moved meanwhile.
    Gone,
    /// Its provider could not be asked, which says nothing of the blob.
    Skipped(StorageError),
    /// It is not what was stored.
    Bad(ScrubProblem),
}

impl FileStorage {
    /// Reads a blob at the scrub's pace and compares it with its row, twice where it is not as it should be; gives the verdict,
    /// and how many bytes were read. Changes nothing.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn verify_blob(
        &self,
        access: &Access,
        blob: &ReferredBlob,
    ) -> Result<(Verdict, u64), StorageError> {
        if let Some(provider) = self.providers().get(&blob.provider)
            && let Err(error) = provider.expect_answers("read")
        {
            return Ok((Verdict::Skipped(error), 0));
        }
        // What this process deletes meanwhile stays until it is read.
        let _lease = self.leases().hold(vec![blob.key.clone()]);
        let mut read = 0;
        let mut verdict = self.look(blob, &mut read).await;
        if let Verdict::Bad(problem) = verdict {
            // A wrong answer, a bit that toppled on its way, an outage that is over by now: once is not enough.
            verdict = match self.unless_unwell(blob, problem).await {
                Ok(()) => self.look(blob, &mut read).await,
                Err(skipped) => skipped,
            };
        }
        self.hit("scrub.read").await?;
        if let Verdict::Bad(problem) = verdict {
            verdict = self.confirmed(access, blob, problem).await?;
        }
        Ok((verdict, read))
    }

    /// Whether what looks bad is: a row refers to it still, and its provider is well otherwise.
    async fn confirmed(
        &self,
        access: &Access,
        blob: &ReferredBlob,
        problem: ScrubProblem,
    ) -> Result<Verdict, StorageError> {
        if let Err(skipped) = self.unless_unwell(blob, problem).await {
            return Ok(skipped);
        }
        // IMPORTANT: asked last. A row that refers to a blob keeps it: one that went before it was read is named by no row now.
        let now = self.executor().referred_blob(access, &blob.key).await?;
        let is_same = now.is_some_and(|now| now.provider == blob.provider);
        Ok(if is_same { Verdict::Bad(problem) } else { Verdict::Gone })
    }

    /// Asks a provider how it is, where that may be why a blob looks bad. If it is, nothing is said of the blob.
    async fn unless_unwell(&self, blob: &ReferredBlob, problem: ScrubProblem) -> Result<(), Verdict> {
        match problem {
            ScrubProblem::Mismatch => return Ok(()),
            // A disk that is not mounted looks like one that has lost everything; a store that is away gives nothing.
            ScrubProblem::Missing | ScrubProblem::ReadError => {}
        }
        let Some(provider) = self.providers().get(&blob.provider) else { return Ok(()) };
        let unwell = |error: BackendError| Verdict::Skipped(error.into_storage_error(&blob.provider));
        provider.probe().await.map_err(unwell)
    }

    async fn look(&self, blob: &ReferredBlob, read: &mut u64) -> Verdict {
        match self.read_through(blob, read).await {
            Ok((size, sha256)) if (size, sha256) == (blob.size, blob.sha256) => Verdict::Good,
            Ok(_) => Verdict::Bad(ScrubProblem::Mismatch),
            Err(error) => self.judge(blob, error),
        }
    }

    /// Length and SHA-256 of what the provider has. What is longer than it should be is not read to its end.
    async fn read_through(&self, blob: &ReferredBlob, read: &mut u64) -> Result<(u64, Sha256), StorageError> {
        let stalled =
            |_| StorageError::ProviderTimeout { provider: blob.provider.clone(), operation: "read" };
        let opening = timeout(STALL, self.read_blob((&blob.provider, &blob.key), None));
        let mut bytes = opening.await.map_err(stalled)??;
        let (mut size, mut hash) = (0_u64, digest::Context::new(&digest::SHA256));
        while let Some(chunk) = timeout(STALL, bytes.next()).await.map_err(stalled)?.transpose()? {
            let length = chunk.len() as u64;
            (size, *read) = (size.saturating_add(length), read.saturating_add(length));
            hash.update(&chunk);
            drop(chunk);
            self.spend_for_scrub(length).await;
            if size > blob.size {
                break;
            }
        }
        Ok((size, Sha256::from_digest(&hash.finish())))
    }

    /// What an error says of the blob.
    fn judge(&self, blob: &ReferredBlob, error: StorageError) -> Verdict {
        if BackendError::is_missing_blob(&error) {
            return Verdict::Bad(ScrubProblem::Missing);
        }
        match error {
            // Who was not asked, or asks for patience, says nothing of the blob.
            StorageError::CircuitOpen { .. }
            | StorageError::ProviderOverloaded { .. }
            | StorageError::ProviderThrottled { .. } => Verdict::Skipped(error),
            error if self.providers().get(&blob.provider).is_none() => Verdict::Skipped(error),
            StorageError::Io { .. }
            | StorageError::ProviderUnavailable { .. }
            | StorageError::ProviderTimeout { .. } => Verdict::Bad(ScrubProblem::ReadError),
            error => Verdict::Skipped(error),
        }
    }

    /// Waits until a scrub may have read so many bytes more.
    pub(crate) async fn spend_for_scrub(&self, bytes: u64) {
        let rate = self.options().scrub.bytes_per_second;
        self.scrub_pace().spend(bytes, rate).await;
    }
}
