//! What is asked of events, each with the time that it may take.

use async_trait::async_trait;

use crate::Timestamp;
use crate::errors::StorageError;
use crate::executor::postgres::{PostgresExecutor, events};
use crate::executor::{Event, EventBounds, EventExecutor, ProviderEvent, Sight};
use crate::permissions::Access;

#[async_trait]
impl EventExecutor for PostgresExecutor {
    async fn record_provider_event(
        &self,
        access: &Access,
        event: &ProviderEvent,
    ) -> Result<(), StorageError> {
        self.run("provider_event", events::provider(&self.pool, access, event)).await
    }

    async fn events(&self, access: &Access, after: u64, limit: u32) -> Result<Vec<Event>, StorageError> {
        self.run("events", events::after(&self.pool, access, after, limit)).await
    }

    async fn event_bounds(&self, access: &Access) -> Result<EventBounds, StorageError> {
        self.run("event_bounds", events::bounds(&self.pool, access)).await
    }

    async fn sights(&self, access: &Access, events: &[&Event]) -> Result<Vec<Sight>, StorageError> {
        self.run("sights", Box::pin(events::sights(&self.pool, access, events))).await
    }

    async fn expire_events(
        &self,
        access: &Access,
        before: Timestamp,
        most: u64,
        limit: u32,
    ) -> Result<u64, StorageError> {
        self.run("expire_events", events::expire(&self.pool, access, before, most, limit)).await
    }
}
