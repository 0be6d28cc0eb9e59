//! Events.

use async_trait::async_trait;

use super::{WatchedExecutor, asked};
use crate::Timestamp;
use crate::audit::{Action, Entry};
use crate::errors::StorageError;
use crate::executor::{Event, EventBounds, EventExecutor, ProviderEvent, Sight};
use crate::permissions::Access;

#[async_trait]
impl EventExecutor for WatchedExecutor {
    async fn record_provider_event(
        &self,
        access: &Access,
        event: &ProviderEvent,
    ) -> Result<(), StorageError> {
        asked("record_provider_event", self.inner.record_provider_event(access, event)).await
    }

    async fn events(&self, access: &Access, after: u64, limit: u32) -> Result<Vec<Event>, StorageError> {
        asked("events", self.inner.events(access, after, limit)).await
    }

    async fn event_bounds(&self, access: &Access) -> Result<EventBounds, StorageError> {
        asked("event_bounds", self.inner.event_bounds(access)).await
    }

    async fn sights(&self, access: &Access, events: &[&Event]) -> Result<Vec<Sight>, StorageError> {
        let entry = || Entry::of(access, Action::Read).subject("events").count(events.len() as u64);
        self.read(access, entry, asked("sights", self.inner.sights(access, events)), |_, entry| Some(entry))
            .await
    }

    async fn expire_events(
        &self,
        access: &Access,
        before: Timestamp,
        most: u64,
        limit: u32,
    ) -> Result<u64, StorageError> {
        asked("expire_events", self.inner.expire_events(access, before, most, limit)).await
    }
}
