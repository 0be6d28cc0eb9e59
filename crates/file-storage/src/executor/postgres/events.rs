//! Events: what happened, written by triggers in the transaction in which it did.

use std::sync::Arc;

use tokio_postgres::Row;

use super::errors::Fault;
use super::pool::Pool;
use super::rls::Caller;
use super::rows::{count, int};
use super::session::read;
use crate::executor::Event;
use crate::permissions::{Access, Permission};

const AFTER: &str = "SELECT e.sequence, e.id, e.kind, e.bucket_id, e.path, e.owner_id, e.payload, e.created_at \
     FROM {schema}.storage_events e WHERE e.sequence > $1 ORDER BY e.sequence LIMIT $2";

/// Events after a sequence number, oldest first.
///
/// NOTE: numbers are given when an event is written, and seen when it is committed. Within a bucket both orders are
/// one, as writers of a bucket take turns at its counters. Across buckets, a reader may meet a number below the last
/// one that it has seen: whoever delivers events has to look back.
pub(super) async fn after(
    pool: &Arc<Pool>,
    access: &Access,
    sequence: u64,
    limit: u32,
) -> Result<Vec<Event>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let values = [&int(sequence) as _, &i64::from(limit) as _];
    let found = read(pool, "events", &Caller::keeper(), AFTER, &values).await?;
    found.iter().map(event).collect()
}

fn event(row: &Row) -> Result<Event, Fault> {
    Ok(Event {
        sequence: count(row, 0)?,
        id: row.try_get(1)?,
        kind: row.try_get(2)?,
        bucket: row.try_get(3)?,
        path: row.try_get(4)?,
        owner_id: row.try_get(5)?,
        payload: row.try_get(6)?,
        created_at: row.try_get(7)?,
    })
}
