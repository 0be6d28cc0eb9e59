//! The providers of a storage: the active one, which new blobs go to, and all that segments may name.
//!
//! Reads, copies and deletions follow the segment. So a storage that began on the local disk can write to a cloud from
//! some day on, and its older objects are still read where they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::StorageBackend;
use crate::errors::StorageError;

/// All providers, by name.
#[derive(Clone)]
pub struct Providers {
    active: Arc<dyn StorageBackend>,
    all: BTreeMap<Arc<str>, Arc<dyn StorageBackend>>,
}

impl Providers {
    /// The active one, and others. Of two with one name, the active one counts.
    pub fn new(
        active: Arc<dyn StorageBackend>,
        others: impl IntoIterator<Item = Arc<dyn StorageBackend>>,
    ) -> Self {
        let providers = others.into_iter().chain([active.clone()]);
        let all = providers.map(|provider| (provider.provider().clone(), provider)).collect();
        Self { active, all }
    }

    /// The one that new blobs go to.
    pub fn active(&self) -> &Arc<dyn StorageBackend> {
        &self.active
    }

    /// The one that a segment names.
    ///
    /// # Errors
    /// [`StorageError::ProviderUnavailable`] where none of this name is configured.
    pub fn named(
        &self,
        name: &str,
        operation: &'static str,
    ) -> Result<&Arc<dyn StorageBackend>, StorageError> {
        self.all.get(name).ok_or_else(|| StorageError::ProviderUnavailable {
            provider: name.into(),
            operation,
            source: Some(Arc::new(NotConfigured)),
        })
    }

    /// All of them, in the order of their names.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn StorageBackend>> {
        self.all.values()
    }

    /// Waits until nothing goes on behind finished calls, anywhere.
    pub async fn drain(&self) {
        for provider in self.all() {
            provider.drain().await;
        }
    }
}

impl From<Arc<dyn StorageBackend>> for Providers {
    fn from(active: Arc<dyn StorageBackend>) -> Self {
        Self::new(active, [])
    }
}

impl<B: StorageBackend> From<Arc<B>> for Providers {
    fn from(active: Arc<B>) -> Self {
        Self::new(active, [])
    }
}

/// Why a segment can't be reached.
#[derive(Debug, thiserror::Error)]
#[error("no provider of this name is configured")]
struct NotConfigured;
