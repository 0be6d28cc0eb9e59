//! Switches of providers as events: written behind whoever's upload was the first to go elsewhere, one after the other, and
//! once for each switch, however many uploads follow it; the way back, as soon as the active provider is seen to be well.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::FileStorage;
use crate::backend::provider::Provider;
use crate::backend::registry::Switch;
use crate::errors::StorageError;
use crate::executor::ProviderEvent;
use crate::resilience::CircuitState;

/// Switches that wait to be written while the database does not answer. Later ones are in the log alone.
const MOST: usize = 64;

/// Switches that are not written yet.
#[derive(Default)]
pub(super) struct Switches(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    events: VecDeque<ProviderEvent>,
    /// Somebody writes them.
    is_written: bool,
}

impl Switches {
    /// Takes one in; whether nobody writes them yet.
    fn add(&self, event: ProviderEvent) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.events.len() >= MOST {
            tracing::warn!(
                kind = event.kind(),
                "too many switches of providers wait to be events: this one will be none"
            );
        } else {
            waiting.events.push_back(event);
        }
        !std::mem::replace(&mut waiting.is_written, true)
    }

    /// The next one; after the last, nobody writes them any more.
    fn next(&self) -> Option<ProviderEvent> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = waiting.events.pop_front();
        waiting.is_written = next.is_some();
        next
    }
}

impl FileStorage {
    /// Has the way back to the active provider told where it was just looked at, and is well: nobody may upload for hours.
    pub(crate) fn has_looked_at(&self, provider: &Provider) {
        let active = self.providers().active();
        if provider.name() == active.name() && provider.is_healthy() {
            self.providers().has_taken(provider, |switch| self.has_switched(switch));
        }
    }

    /// Has a switch become an event, which nobody waits for but the end of the storage.
    pub(super) fn has_switched(&self, Switch { from, to }: Switch) {
        let active = self.providers().active();
        let event = if to == *active.name() {
            ProviderEvent::Recovered { provider: to, from }
        } else {
            let status = active.status();
            let is_open = status.circuit == Some(CircuitState::Open);
            let word = if is_open { "its circuit is open" } else { "it did not take an upload" };
            ProviderEvent::FailedOver {
                from,
                to,
                reason: Some(status.error.unwrap_or_else(|| word.to_owned())),
            }
        };
        if self.inner.switches.add(event) {
            let storage = self.clone();
            self.inner.commits.spawn(async move { storage.write_switches().await });
        }
    }

    async fn write_switches(&self) {
        while let Some(event) = self.inner.switches.next() {
            match self.write_switch(&event).await {
                Ok(()) => self.ring_events(),
                Err(error) => {
                    tracing::warn!(%error, ?event, "a switch of providers could not be made an event");
                }
            }
        }
    }

    async fn write_switch(&self, event: &ProviderEvent) -> Result<(), StorageError> {
        self.hit("switch.before_event").await?;
        let access = self.maintain("tell of switches of providers")?;
        self.executor().record_provider_event(&access, event).await
    }
}
