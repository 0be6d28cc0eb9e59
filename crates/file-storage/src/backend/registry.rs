//! The providers of a storage: the active one, which new blobs go to, those that stand by for it, those that keep copies, and
//! all that segments may name.
//!
//! Reads, copies and deletions follow the segment. So a storage that began on the local disk can write to a cloud from
//! some day on, and its older objects are still read where they are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::StorageBackend;
use super::provider::Provider;
use crate::errors::StorageError;

/// That new blobs go to another provider than before.
pub(crate) struct Switch {
    pub(crate) from: Arc<str>,
    pub(crate) to: Arc<str>,
}

/// All providers, by name.
#[derive(Clone)]
pub struct Providers {
    active: Arc<Provider>,
    /// Where new blobs go while the active one is not well, best first.
    standby: Vec<Arc<Provider>>,
    /// Where copies are kept.
    backups: Vec<Arc<Provider>>,
    all: BTreeMap<Arc<str>, Arc<Provider>>,
    /// Where the last new blob went, or the next one goes again.
    target: Arc<Mutex<Arc<str>>>,
}

impl Providers {
    /// The active one, and others. Of two with one name, the active one counts.
    pub fn new<P: Into<Provider>>(active: impl Into<Provider>, others: impl IntoIterator<Item = P>) -> Self {
        let active = Arc::new(active.into());
        let others = others.into_iter().map(|other| Arc::new(other.into()));
        let all =
            others.chain([active.clone()]).map(|provider| (provider.name().clone(), provider)).collect();
        let target = Arc::new(Mutex::new(active.name().clone()));
        Self { active, standby: Vec::new(), backups: Vec::new(), all, target }
    }

    /// Has new blobs go to these, in this order, while the active one is not well. Names that are not configured, and the
    /// active one's, are passed over.
    #[must_use]
    pub fn failing_over_to<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let active = self.active.name().clone();
        let found = names.into_iter().filter_map(|name| self.all.get(name.as_ref()).cloned());
        self.standby = found.filter(|provider| *provider.name() != active).collect();
        self
    }

    /// Has a copy of every blob kept on each of these. Names that are not configured are passed over.
    #[must_use]
    pub fn copying_to<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.backups = names.into_iter().filter_map(|name| self.all.get(name.as_ref()).cloned()).collect();
        self
    }

    /// Where copies of blobs are kept that are elsewhere.
    pub fn backups(&self) -> &[Arc<Provider>] {
        &self.backups
    }

    /// Whether copies are kept on a provider.
    pub fn is_backup(&self, name: &str) -> bool {
        self.backups.iter().any(|backup| **backup.name() == *name)
    }

    /// The one that new blobs go to while it is well.
    pub fn active(&self) -> &Arc<Provider> {
        &self.active
    }

    /// Whether another provider gets new blobs while the active one is not well.
    pub fn has_standby(&self) -> bool {
        !self.standby.is_empty()
    }

    /// Where new blobs may go: the active provider, and those that stand by for it, best first.
    pub fn for_new_blobs(&self) -> impl Iterator<Item = &Arc<Provider>> {
        std::iter::once(&self.active).chain(&self.standby)
    }

    /// Those of them to be tried for a blob, in this order: the healthy ones. Where none is, all: one may have come back.
    pub fn candidates(&self) -> Vec<&Arc<Provider>> {
        let healthy: Vec<_> = self.for_new_blobs().filter(|provider| provider.is_healthy()).collect();
        if healthy.is_empty() { self.for_new_blobs().collect() } else { healthy }
    }

    /// Where the next new blob goes first.
    pub fn target(&self) -> &Arc<Provider> {
        self.for_new_blobs().find(|provider| provider.is_healthy()).unwrap_or(&self.active)
    }

    /// Notes that a provider has taken a new blob, or would, and says so where the one before went elsewhere: to `told`, too, in the order
    /// of such changes, and while others wait for it. What was begun before a change, and ends after it, is none.
    pub(crate) fn has_taken(&self, provider: &Provider, told: impl FnOnce(Switch)) {
        let is_next = self.target().name() == provider.name();
        let mut target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_next || *target == *provider.name() {
            return;
        }
        let from = std::mem::replace(&mut *target, provider.name().clone());
        told(Switch { from: from.clone(), to: provider.name().clone() });
        drop(target);
        tracing::warn!(%from, to = %provider.name(), "failover: new blobs go to another provider");
        let labels = [("from", from.to_string()), ("to", provider.name().to_string())];
        metrics::counter!("storage_failover_total", &labels).increment(1);
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
