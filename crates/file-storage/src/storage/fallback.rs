//! Where else the bytes of a segment are, when its place does not give them: where the upload queue has carried them, and at the
//! copies that are kept of them (`backup_providers`).

use std::sync::Arc;

use super::follow::Segments;
use crate::errors::StorageError;
use crate::file::{BlobKey, Place, Segment};

/// Another place of a segment's bytes.
pub(super) struct Elsewhere {
    /// The segment, at that place.
    pub(super) segment: Segment,
    /// The provider that was to give the bytes; `None` where they were moved, so that this is no copy.
    instead_of: Option<Arc<str>>,
}

impl Elsewhere {
    /// Says that the bytes come from there.
    pub(super) fn was_taken(&self, reader: &Segments) {
        let (bucket, path) = (&reader.bucket, &reader.path);
        let Place::Blob { provider, .. } = &self.segment.place else { return };
        match &self.instead_of {
            None => tracing::info!(%bucket, %path, "a blob was moved while it was read"),
            Some(instead_of) => {
                tracing::warn!(%bucket, %path, %instead_of, %provider, "served from a copy");
                let labels = [("backend", provider.to_string()), ("instead_of", instead_of.to_string())];
                metrics::counter!("storage_reads_from_copies_total", &labels).increment(1);
            }
        }
    }
}

/// Whether an error lies with the place that was asked: another one may do better.
pub(super) fn is_the_places(error: &StorageError) -> bool {
    matches!(
        error,
        StorageError::ProviderUnavailable { .. }
            | StorageError::ProviderThrottled { .. }
            | StorageError::ProviderTimeout { .. }
            | StorageError::ProviderOverloaded { .. }
            | StorageError::CircuitOpen { .. }
            | StorageError::ChecksumMismatch { .. }
            | StorageError::Io { .. }
    )
}

impl Segments {
    /// Other places of a segment's bytes, those of healthy providers first; with `only_well`, no others. What was tried is not
    /// among them. Nobody deletes them as long as this lives.
    pub(super) async fn elsewhere(
        &self,
        segment: &Segment,
        tried: &[BlobKey],
        only_well: bool,
    ) -> Vec<Elsewhere> {
        let Place::Blob { provider: instead_of, key } = &segment.place else { return Vec::new() };
        let lookup = self.storage.leases().begin_lookup().await;
        // It may have been moved, and its copies with it; or this is a copy itself.
        let same_bytes = |other: &Segment| {
            (other.offset, other.size, other.sha256) == (segment.offset, segment.size, segment.sha256)
        };
        let now = self.look_again().await.map(|stored| stored.segments).unwrap_or_default();
        let now = now.into_iter().find(same_bytes).unwrap_or_else(|| segment.clone());
        let mut found: Vec<(Segment, bool)> = Vec::new();
        if let Some(current) = now.blob_key() {
            match self.storage.copies_of(current).await {
                Ok(copies) => found.extend(copies.into_iter().map(|copy| {
                    let place = Place::Blob { provider: copy.provider, key: copy.key };
                    (Segment { place, ..segment.clone() }, true)
                })),
                Err(error) => tracing::warn!(%error, "the copies of a blob could not be looked up"),
            }
        }
        found.insert(0, (now, false));
        found.retain(|(other, _)| {
            let is_well = || self.is_well(other);
            other.blob_key().is_some_and(|other| other != key && !tried.contains(other))
                && (!only_well || is_well())
        });
        found.sort_by_key(|(other, _)| !self.is_well(other));
        let keys = found.iter().filter_map(|(other, _)| other.blob_key().cloned()).collect();
        self.lease(self.storage.leases().hold(keys));
        drop(lookup);
        let elsewhere = |(segment, is_copy): (Segment, bool)| Elsewhere {
            segment,
            instead_of: is_copy.then(|| instead_of.clone()),
        };
        found.into_iter().map(elsewhere).collect()
    }

    /// Whether a segment's own place is not to be asked first, as far as is known: where copies are kept, a healthy one is.
    pub(super) fn is_better_elsewhere(&self, segment: &Segment) -> bool {
        !self.storage.providers().backups().is_empty()
            && segment.blob_key().is_some()
            && !self.is_well(segment)
    }

    fn is_well(&self, segment: &Segment) -> bool {
        match &segment.place {
            Place::Inline(_) => true,
            Place::Blob { provider, .. } => {
                self.storage.providers().get(provider).is_some_and(|provider| provider.answers_reads())
            }
        }
    }

    /// Remembers that a place stood still.
    pub(super) fn stands_still(&self, segment: &Segment) {
        if let Place::Blob { provider, .. } = &segment.place
            && let Some(provider) = self.storage.providers().get(provider)
        {
            provider.stands_still();
        }
    }

    /// What is wrong with a blob that is shorter than its segment.
    pub(super) fn ended_early(&self, segment: &Segment) -> StorageError {
        let (bucket, path) = (self.bucket.clone(), self.path.clone());
        tracing::error!(%bucket, %path, blob = segment.blob_key().map(tracing::field::display), "blob is too short");
        StorageError::ChecksumMismatch { bucket, path }
    }
}
