//! What is asked of events, each sent to where it runs.

use async_trait::async_trait;

use crate::Timestamp;
use crate::errors::StorageError;
use crate::executor::sqlite::{SqliteExecutor, events};
use crate::executor::{Event, EventBounds, EventExecutor, ProviderEvent, Sight};
use crate::permissions::Access;

#[async_trait]
impl EventExecutor for SqliteExecutor {
    async fn record_provider_event(
        &self,
        access: &Access,
        event: &ProviderEvent,
    ) -> Result<(), StorageError> {
        let (access, event) = (access.clone(), event.clone());
        self.writer.run("provider_event", move |conn| events::provider(conn, &access, &event)).await
    }

    async fn events(&self, access: &Access, after: u64, limit: u32) -> Result<Vec<Event>, StorageError> {
        let access = access.clone();
        self.scan("events", move |conn| events::after(conn, &access, after, limit)).await
    }

    async fn event_bounds(&self, access: &Access) -> Result<EventBounds, StorageError> {
        self.read("event_bounds", |conn| events::bounds(conn, access))
    }

    async fn sights(&self, access: &Access, events: &[&Event]) -> Result<Vec<Sight>, StorageError> {
        let (access, rules) = (access.clone(), self.rules.load_full());
        let events: Vec<Event> = events.iter().map(|event| (*event).clone()).collect();
        self.scan("sights", move |conn| events::sights(conn, &rules, &access, &events)).await
    }

    async fn expire_events(
        &self,
        access: &Access,
        before: Timestamp,
        most: u64,
        limit: u32,
    ) -> Result<u64, StorageError> {
        let access = access.clone();
        self.writer
            .free("expire_events", move |conn| events::expire(conn, &access, before, most, limit))
            .await
    }
}
