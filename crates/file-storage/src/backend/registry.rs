//! The providers of a storage: the active one, which new blobs go to, and all that segments may name.
//!
//! Reads, copies and deletions follow the segment. So a storage that began on the local disk can write to a cloud from
//! some day on, and its older objects are still read where they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::StorageBackend;
use super::provider::Provider;
use crate::errors::StorageError;

/// All providers, by name.
#[derive(Clone)]
pub struct Providers {
    active: Arc<Provider>,
    all: BTreeMap<Arc<str>, Arc<Provider>>,
}

impl Providers {
    /// The active one, and others. Of two with one name, the active one counts.
    pub fn new<P: Into<Provider>>(active: impl Into<Provider>, others: impl IntoIterator<Item = P>) -> Self {
        let active = Arc::new(active.into());
        let others = others.into_iter().map(|other| Arc::new(other.into()));
        let all =
            others.chain([active.clone()]).map(|provider| (provider.name().clone(), provider)).collect();
        Self { active, all }
    }

    /// The one that new blobs go to.
    pub fn active(&self) -> &Arc<Provider> {
        &self.active
    }

    /// The one of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Provider>> {
        self.all.get(name)
    }

    /// The backend that a segment names.
    ///
    /// # Errors
    /// [`StorageError::ProviderUnavailable`] where none of this name is configured.
    pub fn named(
        &self,
        name: &str,
        operation: &'static str,
    ) -> Result<&Arc<dyn StorageBackend>, StorageError> {
        self.get(name).map(|provider| provider.backend()).ok_or_else(|| StorageError::ProviderUnavailable {
            provider: name.into(),
            operation,
            source: Some(Arc::new(NotConfigured)),
        })
    }

    /// All of them, in the order of their names.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.all.values()
    }

    /// Waits until nothing goes on behind finished calls, anywhere.
    pub async fn drain(&self) {
        for provider in self.all() {
            provider.backend().drain().await;
        }
    }
}

impl From<Provider> for Providers {
    fn from(active: Provider) -> Self {
        Self::new(active, [] as [Provider; 0])
    }
}

impl From<Arc<dyn StorageBackend>> for Providers {
    fn from(active: Arc<dyn StorageBackend>) -> Self {
        Provider::from(active).into()
    }
}

impl<B: StorageBackend> From<Arc<B>> for Providers {
    fn from(active: Arc<B>) -> Self {
        Provider::from(active).into()
    }
}

/// Why a segment can't be reached.
#[derive(Debug, thiserror::Error)]
#[error("no provider of this name is configured")]
struct NotConfigured;
