//! Blobs on their providers: the only place that decides where new bytes go, where they belong and where copies of them are
//! kept, and finds those that a
//! row names.

use std::ops::Range;
use std::sync::Arc;

use uuid::Uuid;

use super::FileStorage;
use super::leases::Lease;
use super::spool::SpoolShare;
use crate::backend::originals::{self, Original};
use crate::backend::provider::Provider;
use crate::backend::{BackendError, BlobWritten, metered};
use crate::body::ByteStream;
use crate::errors::StorageError;
use crate::executor::{Copies, Home, QueueReason};
use crate::file::{BlobKey, Place};
use crate::resilience::failover;
use crate::resilience::tape::Tape;

/// A blob, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlacedBlob {
    pub(super) provider: Arc<str>,
    pub(super) key: BlobKey,
}

impl PlacedBlob {
    /// The blob of a place, unless its bytes are inline.
    pub(super) fn of(place: &Place) -> Option<Self> {
        match place {
            Place::Inline(_) => None,
            Place::Blob { provider, key } => Some(Self { provider: provider.clone(), key: key.clone() }),
        }
    }

    pub(super) fn place(&self) -> Place {
        Place::Blob { provider: self.provider.clone(), key: self.key.clone() }
    }
}

/// Whether who uploads waits until the bytes are where they belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// They do, as long as that provider is well.
    Waits,
    /// They would rather not, where there is a spool.
    Defers,
}

/// A blob that was written, and that nothing refers to yet.
pub(super) struct NewBlob {
    pub(super) blob: PlacedBlob,
    pub(super) written: BlobWritten,
    /// Where it belongs, if that is elsewhere.
    pub(super) belongs: Option<Home>,
    /// Its room on the spool, if it is there.
    pub(super) share: Option<SpoolShare>,
    /// Keeps it from being taken for an orphan.
    pub(super) lease: Lease,
}

impl FileStorage {
    /// Writes a blob of a bucket where new ones go: to the active provider or, where that fails or stands still, to one
    /// that stands by for it; to the spool before them, where nobody wants to wait and it has room. What an upload that
    /// fails, or whose caller goes away, may have left anywhere is deleted.
    ///
    /// The next provider gets the body from its beginning. Of a large body, that is gone by the time that a provider fails in
    /// its midst: then the caller is told to send it again, and it goes to the next provider at once.
    pub(super) async fn write_blob(
        &self,
        bucket: Uuid,
        body: ByteStream,
        size_hint: Option<u64>,
        patience: Patience,
    ) -> Result<NewBlob, StorageError> {
        let mut candidates = self.providers().candidates();
        let spool = match patience {
            Patience::Waits => None,
            Patience::Defers => self.spool_for(size_hint),
        };
        let body = match spool {
            None => body,
            Some((spool, share)) => {
                candidates.retain(|provider| provider.name() != spool.name());
                if candidates.is_empty() {
                    candidates.push(self.providers().active());
                }
                let tape = Tape::new(body, spool.resend_limit());
                match self.write_to_spool((spool, share), bucket, &tape, size_hint).await? {
                    Some(new) => return Ok(new),
                    None => tape.play(),
                }
            }
        };
        let new = self.write_to_one_of(&candidates, bucket, body, size_hint).await?;
        Ok(NewBlob { belongs: self.home_of(&new.blob.provider), ..new })
    }

    /// Writes a blob to the spool, as long as there is room. `None` where others can have the body from its beginning, and
    /// are to.
    async fn write_to_spool(
        &self,
        (spool, share): (&Arc<Provider>, SpoolShare),
        bucket: Uuid,
        tape: &Tape,
        size_hint: Option<u64>,
    ) -> Result<Option<NewBlob>, StorageError> {
        let begun = self.begin_blob(spool, bucket, true);
        let body = share.bounds(tape.play(), spool.name());
        let outcome = failover::write(spool, &begun.blob.key, tape, body, size_hint).await;
        match begun.end(outcome) {
            Ok(new) => {
                let belongs = Some(self.home(QueueReason::Deferred));
                Ok(Some(NewBlob { belongs, share: Some(share), ..new }))
            }
            Err(error) if tape.is_whole() && (share.is_out() || failover::is_the_providers(&error)) => {
                tracing::info!(provider = %spool.name(), %error, "an upload does not go to the spool");
                Ok(None)
            }
            Err(error) if failover::is_the_providers(&error) => Err(send_again(spool.name(), error)),
            Err(error) => Err(error.into_storage_error(spool.name())),
        }
    }

    /// The spool, and room there for so many bytes, or for a body whose length nobody knows; `None` where they go to the active
    /// provider as all others do.
    fn spool_for(&self, bytes: Option<u64>) -> Option<(&Arc<Provider>, SpoolShare)> {
        let options = self.options();
        let options = &options.queue;
        let spool = self.providers().get(options.spool.as_deref()?)?;
        if spool.name() == self.providers().active().name() || !spool.is_healthy() {
            return None;
        }
        Some((spool, self.inner.spool.share(bytes, options.spool_max_bytes)?))
    }

    /// The active provider, as where a blob belongs.
    fn home(&self, reason: QueueReason) -> Home {
        let provider = self.providers().active().name().clone();
        let max_attempts = self.inner.options.load().queue.max_attempts;
        Home { entry: Uuid::now_v7(), provider, reason, max_attempts }
    }

    /// Where copies of new blobs are to be kept. Not on the active provider: they are there, or belong there.
    pub(super) fn copies_of_new(&self) -> Copies {
        let active = self.providers().active().name();
        let mut copies = self.copies();
        copies.on.retain(|provider| provider != active);
        copies
    }

    /// Where copies of all blobs are to be kept.
    pub(super) fn copies(&self) -> Copies {
        let on = self.providers().backups().iter().map(|backup| backup.name().clone()).collect();
        Copies { on, max_attempts: self.inner.options.load().queue.max_attempts }
    }

    /// Where a new blob belongs that nobody deferred, and that is on this provider: with the active one, if it came to one
    /// that stands by, or is a copy of what is on the spool. Elsewhere it stays: others may have been active before.
    pub(super) fn home_of(&self, provider: &str) -> Option<Home> {
        if provider == &**self.providers().active().name() {
            return None;
        }
        let stands_by = self.providers().for_new_blobs().any(|other| &**other.name() == provider);
        let is_spool = self.inner.options.load().queue.spool.as_deref() == Some(provider);
        match (stands_by, is_spool) {
            (true, _) => Some(self.home(QueueReason::Failover)),
            (false, true) => Some(self.home(QueueReason::Deferred)),
            (false, false) => None,
        }
    }

    /// Writes a blob to the first of these providers that takes it.
    async fn write_to_one_of(
        &self,
        candidates: &[&Arc<Provider>],
        bucket: Uuid,
        body: ByteStream,
        size_hint: Option<u64>,
    ) -> Result<NewBlob, StorageError> {
        let Some((last, others)) = candidates.split_last() else {
            return Err(StorageError::internal("no provider takes new blobs"));
        };
        let body = match others {
            [] => body,
            others => {
                let limits = others.iter().map(|provider| provider.resend_limit());
                let tape = Tape::new(body, limits.min().unwrap_or_default());
                for provider in others {
                    let begun = self.begin_blob(provider, bucket, true);
                    let (key, body) = (&begun.blob.key, tape.play());
                    let outcome = failover::write(provider, key, &tape, body, size_hint).await;
                    match begun.end(outcome) {
                        Err(error) if failover::is_the_providers(&error) && tape.is_whole() => {
                            tracing::info!(provider = %provider.name(), %error, "an upload goes to another provider");
                        }
                        Err(error) if failover::is_the_providers(&error) => {
                            return Err(send_again(provider.name(), error));
                        }
                        outcome => return outcome.map_err(|error| error.into_storage_error(provider.name())),
                    }
                }
                tape.play()
            }
        };
        let begun = self.begin_blob(last, bucket, self.providers().has_standby());
        let outcome = last.backend().write(&begun.blob.key, body, size_hint).await;
        begun.end(outcome).map_err(|error| error.into_storage_error(last.name()))
    }

    /// A name for a blob that goes to a provider. Each attempt has its own: what a provider that fails may have kept is no
    /// blob that anybody knows, and goes. `has_others`: other providers take what this one does not.
    fn begin_blob<'a>(&'a self, provider: &'a Provider, bucket: Uuid, has_others: bool) -> BegunBlob<'a> {
        let key = BlobKey::new(bucket);
        let lease = self.leases().hold(vec![key.clone()]);
        let blob = PlacedBlob { provider: provider.name().clone(), key };
        let unwanted = Unwanted { storage: self, blobs: vec![blob.clone()] };
        BegunBlob { provider, has_others, blob, lease, unwanted }
    }

    /// Makes a blob of a file that is there, where the provider that new ones go to can, without carrying its bytes. `None` where it is
    /// to be written as any other.
    pub(super) async fn take_blob(
        &self,
        bucket: Uuid,
        original: &Original,
        moves: bool,
    ) -> Result<Option<NewBlob>, StorageError> {
        let provider = self.providers().target();
        let Some(adopter) = provider.backend().adopter() else { return Ok(None) };
        let mut begun = self.begin_blob(provider, bucket, false);
        let taken = match adopter.take(&begun.blob.key, original, moves).await {
            Ok(None) => {
                begun.unwanted.blobs.clear();
                return Ok(None);
            }
            Ok(Some(written)) if written.size == original.size => Ok(written),
            // The blob goes, as it is not the file that was let in.
            Ok(Some(_)) => return Err(StorageError::OriginalUnusable { reason: originals::CHANGED }),
            Err(error) => Err(error),
        };
        let new = begun.end(taken).map_err(|error| error.into_storage_error(provider.name()))?;
        Ok(Some(NewBlob { belongs: self.home_of(&new.blob.provider), ..new }))
    }

    /// Reads a blob, or a range of it.
    pub(super) async fn read_blob(
        &self,
        (provider, key): (&Arc<str>, &BlobKey),
        range: Option<Range<u64>>,
    ) -> Result<ByteStream, StorageError> {
        let backend = self.providers().named(provider, "read")?;
        backend.read(key, range).await.map_err(|error| error.into_storage_error(provider))
    }

    /// The same in one attempt: for who has another place to turn to.
    pub(super) async fn read_blob_once(
        &self,
        (provider, key): (&Arc<str>, &BlobKey),
        range: Option<Range<u64>>,
    ) -> Result<ByteStream, StorageError> {
        let backend = self.providers().named(provider, "read")?;
        backend.read_once(key, range).await.map_err(|error| error.into_storage_error(provider))
    }

    /// Makes a second blob of the same bytes, on the same provider. One that is known not to answer is not asked, and one that answers
    /// no more is not waited for.
    pub(super) async fn copy_blob(&self, from: &BlobKey, to: &PlacedBlob) -> Result<(), StorageError> {
        let provider = self.providers().get(&to.provider);
        if let Some(provider) = provider {
            provider.expect_answers("copy")?;
        }
        let backend = self.providers().named(&to.provider, "copy")?;
        let copied = async {
            backend.copy(from, &to.key).await.map_err(|error| error.into_storage_error(&to.provider))
        };
        let Some(provider) = provider.filter(|provider| provider.is_remote()) else {
            return copied.await;
        };
        let gone = async {
            failover::falls_silent(provider).await;
            metered::gave_up(provider.name(), "copy");
            let error = BackendError::TimedOut { operation: "copy", limit: provider.failover_after() };
            provider.doubt(&error);
            error
        };
        tokio::select! {
            biased;
            outcome = copied => outcome,
            error = gone => Err(error.into_storage_error(&to.provider)),
        }
    }

    /// Says of a blob that was written whether a row has it now; else it is deleted.
    pub(super) async fn settle_blob(&self, blob: &PlacedBlob, kept: bool) {
        // One that is gone from the configuration since: the blob stays, as it would in an outage.
        if let Ok(backend) = self.providers().named(&blob.provider, "settle") {
            backend.settle(&blob.key, kept).await;
        }
    }
}

/// A blob that is being written. Dropped, it is not wanted.
struct BegunBlob<'a> {
    provider: &'a Provider,
    has_others: bool,
    blob: PlacedBlob,
    lease: Lease,
    unwanted: Unwanted<'a>,
}

impl BegunBlob<'_> {
    /// Says how the write went.
    fn end(mut self, outcome: Result<BlobWritten, BackendError>) -> Result<NewBlob, BackendError> {
        if let Err(error) = &outcome
            && failover::is_the_providers(error)
            && self.has_others
        {
            self.provider.doubt(error);
        }
        // After a refusal, or a body that failed, there is no blob; of what broke off or stood still, nobody knows.
        if outcome.as_ref().map_or_else(|error| !error.is_transient(), |_| true) {
            self.unwanted.blobs.clear();
        }
        if outcome.is_ok() {
            let storage = self.unwanted.storage;
            storage.providers().has_taken(self.provider, |switch| storage.has_switched(switch));
        }
        let (blob, lease) = (self.blob, self.lease);
        outcome.map(|written| NewBlob { blob, written, belongs: None, share: None, lease })
    }
}

/// A body that is gone, and that would find another provider: whatever was wrong with this one, it is worth another try.
fn send_again(provider: &Arc<str>, error: BackendError) -> StorageError {
    let (provider, source) = (provider.clone(), Some(Arc::new(error) as _));
    StorageError::ProviderUnavailable { provider, operation: "write", source }
}

/// Blobs that nothing will refer to, unless this is emptied. Dropped with them, it has them deleted.
pub(super) struct Unwanted<'a> {
    pub(super) storage: &'a FileStorage,
    pub(super) blobs: Vec<PlacedBlob>,
}

impl Drop for Unwanted<'_> {
    fn drop(&mut self) {
        if self.blobs.is_empty() {
            return;
        }
        let (storage, blobs) = (self.storage.clone(), std::mem::take(&mut self.blobs));
        self.storage.inner.commits.spawn(async move {
            for blob in &blobs {
                storage.settle_blob(blob, false).await;
            }
        });
    }
}
