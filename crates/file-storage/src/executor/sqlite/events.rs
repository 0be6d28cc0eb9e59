//! Events: what happened, written in the transaction in which it did.

use rusqlite::{Connection, OptionalExtension, named_params};
use serde_json::{Value, json};
use uuid::Uuid;

use super::errors::Fault;
use super::rls::{Caller, builtin, is_true, policy_failed, text};
use super::rows::{self, count, int, micros, opt_uuid, str, time, uuid};
use super::rules::{RoleRules, Rules, Statement};
use crate::Timestamp;
use crate::bucket::{Bucket, BucketName, BucketPolicy};
use crate::errors::StorageError;
use crate::executor::event::{Household, Place, could_see, sight};
use crate::executor::{Event, EventBounds, ProviderEvent, Sight, quota};
use crate::file::StorageObject;
use crate::permissions::{Access, Permission, RlsContext};

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
    let about = (Some(object.bucket.as_str()), Some(object.path.as_str()), object.owner_id);
    record(conn, kind, about, &payload, now)
}

/// Writes down what happened to a provider.
pub(super) fn provider(conn: &Connection, access: &Access, event: &ProviderEvent) -> Result<(), Fault> {
    access.on_rows(Permission::Maintain, None)?;
    record(conn, event.kind(), (None, None, None), &event.payload(), rows::now())
}

/// Writes down what happened to a bucket.
pub(super) fn bucket(conn: &Connection, kind: &str, bucket: &Bucket, now: Timestamp) -> Result<(), Fault> {
    let payload = json!({ "uuid": bucket.uuid, "policy": bucket.config.policy });
    record(conn, kind, (Some(bucket.name.as_str()), None, bucket.owner_id), &payload, now)
}

/// Writes down that a quota fills up, as seen where the write was, or where it was set.
pub(super) fn quota(
    conn: &Connection,
    (bucket, owner): (&str, Option<Uuid>),
    payload: &Value,
    now: Timestamp,
) -> Result<(), Fault> {
    record(conn, quota::WARNING, (Some(bucket), None, owner), payload, now)
}

fn record(
    conn: &Connection,
    kind: &str,
    (bucket, path, owner): (Option<&str>, Option<&str>, Option<Uuid>),
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
            bucket: row.get(3)?,
            path: row.get(4)?,
            owner_id: opt_uuid(row, 5)?,
            payload: serde_json::from_str(str(row, 6)?)
                .map_err(|_| Fault::from(StorageError::internal("an event's payload is not JSON")))?,
            created_at: time(row, 7)?,
        });
    }
    Ok(events)
}

/// From where to where events are kept. There is one writer: numbers are in the order of commits.
pub(super) fn bounds(conn: &Connection, access: &Access) -> Result<EventBounds, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let mut statement = conn.prepare_cached(
        "SELECT g.gone, max(g.gone, coalesce((SELECT max(sequence) FROM storage_events), 0)) \
         FROM (SELECT coalesce((SELECT position FROM storage_events_gone), 0) AS gone) g",
    )?;
    let mut rows = statement.query([])?;
    match rows.next()? {
        Some(row) => Ok(EventBounds { gone: count(row, 0)?, last: count(row, 1)? }),
        None => Ok(EventBounds::default()),
    }
}

/// Deletes what is old, or too many.
pub(super) fn expire(
    conn: &Connection,
    access: &Access,
    before: Timestamp,
    most: u64,
    limit: u32,
) -> Result<u64, Fault> {
    let last = bounds(conn, access)?.last;
    let values = named_params! {
        ":before": micros(before), ":beyond": int(last.saturating_sub(most)), ":limit": limit,
    };
    // Up to the first one that stays: what is deleted has no gaps.
    let up_to: Option<i64> = conn
        .prepare_cached(
            "WITH first AS (SELECT sequence, created_at < :before OR sequence <= :beyond AS is_due \
                FROM storage_events ORDER BY sequence LIMIT :limit) \
             SELECT max(sequence) FROM first WHERE is_due AND sequence < \
                coalesce((SELECT min(sequence) FROM first WHERE NOT is_due), 9223372036854775807)",
        )?
        .query_row(values, |row| row.get(0))?;
    let Some(up_to) = up_to else { return Ok(0) };
    let gone = conn
        .prepare_cached("DELETE FROM storage_events WHERE sequence <= :up_to")?
        .execute(named_params! { ":up_to": up_to })?;
    conn.prepare_cached(
        "INSERT INTO storage_events_gone (id, position) VALUES (1, :up_to) \
         ON CONFLICT (id) DO UPDATE SET position = max(position, excluded.position)",
    )?
    .execute(named_params! { ":up_to": up_to })?;
    Ok(gone as u64)
}

/// What the caller may be told of events.
pub(super) fn sights(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    events: &[Event],
) -> Result<Vec<Sight>, Fault> {
    access.on_rows(Permission::BucketRead, None)?;
    let context = access.on_rows(Permission::ObjectRead, None)?;
    let told = |event: &Event| {
        let sees = match object_or_bucket(conn, rules, context, event.place())? {
            Some(sees) => sees,
            None => saw(conn, rules, context, event.place())?,
        };
        let origin = match event.origin() {
            Some(place) if sees => Some(saw(conn, rules, context, place)?),
            _ => None,
        };
        Ok(sight(sees, origin))
    };
    match context.is_service() {
        true => Ok(vec![Sight::Whole; events.len()]),
        false => events.iter().map(told).collect(),
    }
}

fn told_sql(rules: &RoleRules) -> String {
    format!(
        "SELECT {} FROM storage_buckets b JOIN storage_objects o ON o.bucket_id = b.id AND o.path = :path \
         WHERE b.id = :bucket AND o.id = :id AND o.version = :version",
        is_true(rules.predicate(Permission::ObjectRead))
    )
}

/// Whether the caller sees what is at a place now; `None` where it is not there. Of what a policy can't be computed for,
/// nothing is told.
fn object_or_bucket(
    conn: &Connection,
    rules: &Rules,
    context: &RlsContext,
    place: Place<'_>,
) -> Result<Option<bool>, Fault> {
    let id = place.id.map(text);
    let caller = Caller::under(rules, context);
    let Some(path) = place.path else {
        let sql = format!(
            "SELECT {} FROM storage_buckets b WHERE b.id = :bucket AND b.uuid = :id",
            is_true(builtin(Permission::BucketRead))
        );
        let values = named_params! {
            ":bucket": place.bucket, ":id": id, ":role": caller.role, ":uid": caller.uid,
        };
        return Ok(conn.prepare_cached(&sql)?.query_row(values, |row| row.get(0)).optional()?);
    };
    let mut statement = conn.prepare_cached(rules.of(context).sql(Statement::Told, told_sql))?;
    let sees = statement
        .query_row(
            &*caller.with(named_params! {
                ":bucket": place.bucket, ":path": path, ":id": id, ":version": place.version.map(text),
                ":role": caller.role, ":uid": caller.uid,
            }),
            |row| row.get(0),
        )
        .optional();
    match sees.map_err(Fault::from) {
        Err(fault) if fault.of_policy().is_some() => {
            let bucket = BucketName::parse(place.bucket)?;
            policy_failed(&fault, rules, context, Permission::ObjectRead, &bucket);
            Ok(Some(false))
        }
        sees => sees,
    }
}

/// Whether the caller could see what was at a place.
fn saw(conn: &Connection, rules: &Rules, context: &RlsContext, place: Place<'_>) -> Result<bool, Fault> {
    let household = household(conn, place)?;
    Ok(could_see(context, place, household, rules.policies(), micros(rows::now())))
}

/// The bucket that a place was in: at its end, where it has come to one since, or as it is.
fn household(conn: &Connection, place: Place<'_>) -> Result<Option<Household>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT policy, owner_id FROM (SELECT payload ->> 'policy' AS policy, owner_id, sequence FROM storage_events \
            WHERE kind = 'storage.bucket.deleted' AND bucket_id = :bucket AND sequence >= :sequence \
            ORDER BY sequence LIMIT 1) \
         UNION ALL SELECT policy, owner_id FROM storage_buckets WHERE id = :bucket LIMIT 1",
    )?;
    let values = named_params! { ":bucket": place.bucket, ":sequence": int(place.sequence) };
    let mut rows = statement.query(values)?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let policy = BucketPolicy::from_word(str(row, 0)?).ok_or_else(|| Fault::corrupt("policy"))?;
    Ok(Some(Household { policy, owner: opt_uuid(row, 1)? }))
}
