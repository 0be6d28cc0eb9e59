//! Events: what happened, written in the transaction in which it did.

use rusqlite::{Connection, named_params};
use serde_json::{Value, json};
use uuid::Uuid;

use super::errors::Fault;
use super::rls::{Caller, builtin, text};
use super::rows::{count, int, micros, opt_uuid, str, time, uuid};
use crate::Timestamp;
use crate::bucket::Bucket;
use crate::errors::StorageError;
use crate::executor::{Event, quota};
use crate::file::StorageObject;
use crate::permissions::{Access, Permission};

/// Writes down what happened to an object. `more` is added to what is always told.
pub(super) fn object(
    conn: &Connection,
    kind: &str,
    object: &StorageObject,
    more: &[(&str, &str)],
    now: Timestamp,
) -> Result<(), Fault> {
    let mut payload = json!({
        "id": object.id,
        "version": object.version,
        "size": object.size,
        "content_type": object.content_type,
        "etag": object.etag,
    });
    if let Value::Object(members) = &mut payload {
        members.extend(more.iter().map(|(key, value)| ((*key).to_owned(), json!(value))));
    }
    let about = (object.bucket.as_str(), Some(object.path.as_str()), object.owner_id);
    record(conn, kind, about, &payload, now)
}

/// Writes down what happened to a bucket.
pub(super) fn bucket(conn: &Connection, kind: &str, bucket: &Bucket, now: Timestamp) -> Result<(), Fault> {
    let payload = json!({ "uuid": bucket.uuid, "policy": bucket.config.policy });
    record(conn, kind, (bucket.name.as_str(), None, bucket.owner_id), &payload, now)
}

/// Writes down that a quota fills up, as seen where the write was.
pub(super) fn quota(
    conn: &Connection,
    (bucket, owner): (&str, Option<Uuid>),
    payload: &Value,
    now: Timestamp,
) -> Result<(), Fault> {
    record(conn, quota::WARNING, (bucket, None, owner), payload, now)
}

fn record(
    conn: &Connection,
    kind: &str,
    (bucket, path, owner): (&str, Option<&str>, Option<Uuid>),
    payload: &Value,
    now: Timestamp,
) -> Result<(), Fault> {
    conn.prepare_cached(
        "INSERT INTO storage_events (id, kind, bucket_id, path, owner_id, payload, created_at) \
         VALUES (:id, :kind, :bucket, :path, :owner, :payload, :now)",
    )?
    .execute(named_params! {
        ":id": text(Uuid::now_v7()), ":kind": kind, ":bucket": bucket, ":path": path,
        ":owner": owner.map(text), ":payload": payload.to_string(), ":now": micros(now),
    })?;
    Ok(())
}

/// Events after a sequence number, oldest first.
pub(super) fn after(
    conn: &Connection,
    access: &Access,
    sequence: u64,
    limit: u32,
) -> Result<Vec<Event>, Fault> {
    let caller = Caller::from(access.on_rows(Permission::Maintain, None)?);
    let mut statement = conn.prepare_cached(&format!(
        "SELECT e.sequence, e.id, e.kind, e.bucket_id, e.path, e.owner_id, e.payload, e.created_at \
         FROM storage_events e WHERE e.sequence > :after AND {} ORDER BY e.sequence LIMIT :limit",
        builtin(Permission::Maintain)
    ))?;
    let mut rows =
        statement.query(named_params! { ":after": int(sequence), ":role": caller.role, ":limit": limit })?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(Event {
            sequence: count(row, 0)?,
            id: uuid(row, 1)?,
            kind: str(row, 2)?.to_owned(),
            bucket: str(row, 3)?.to_owned(),
            path: row.get(4)?,
            owner_id: opt_uuid(row, 5)?,
            payload: serde_json::from_str(str(row, 6)?)
                .map_err(|_| Fault::from(StorageError::internal("an event's payload is not JSON")))?,
            created_at: time(row, 7)?,
        });
    }
    Ok(events)
}
