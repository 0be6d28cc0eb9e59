//! Events: what happened, written by triggers in the transaction in which it did; of providers, by who saw it.
//!
//! Numbers of the table's own are given when an event is written, and seen when it is committed. Who read by them would
//! pass over what commits late; who waited for all older transactions would be held up by any that is left open, also one
//! that has nothing to do with us. So readers go by positions, which are given to what is committed,
//! by one reader at a time, in the order of the numbers: as writers of a row take turns, what happened to it before has
//! the lower number, and is committed no later.

use std::collections::HashSet;
use std::sync::Arc;

use tokio_postgres::Row;
use uuid::Uuid;

use super::decide::event_place;
use super::errors::Fault;
use super::pool::Pool;
use super::rls::{Caller, policy_failed};
use super::rows::{count, int, now};
use super::rules;
use super::session::{Session, Step, alone, read};
use crate::Timestamp;
use crate::bucket::{BucketName, BucketPolicy};
use crate::executor::event::{Household, Place, could_see, sight};
use crate::executor::{Event, EventBounds, ProviderEvent, Sight};
use crate::permissions::{Access, Permission, RlsContext};

/// Events that get a position in one transaction.
const BATCH: i64 = 1000;

const OF_PROVIDER: &str = "INSERT INTO {schema}.storage_events (kind, payload) VALUES ($1, $2)";

const AFTER: &str = "SELECT e.position, e.id, e.kind, e.bucket_id, e.path, e.owner_id, e.payload, e.created_at \
     FROM {schema}.storage_events e WHERE e.position > $1 ORDER BY e.position LIMIT $2";

const ARE_NEW: &str = "SELECT 1 FROM {schema}.storage_events WHERE position IS NULL LIMIT 1";

const LOCK: &str = "SELECT pg_advisory_xact_lock($1)";

/// IMPORTANT: a statement of its own, after the lock: only then does it see what the one before has placed.
const PLACE: &str = "WITH new AS ( \
        SELECT sequence, row_number() OVER (ORDER BY sequence) AS at FROM ( \
            SELECT sequence FROM {schema}.storage_events WHERE position IS NULL ORDER BY sequence LIMIT $1) first), \
     last AS (SELECT greatest((SELECT max(position) FROM {schema}.storage_events), \
        (SELECT position FROM {schema}.storage_events_gone), 0) AS position) \
     UPDATE {schema}.storage_events e SET position = last.position + new.at FROM new, last \
     WHERE e.sequence = new.sequence";

const BOUNDS: &str = "SELECT coalesce(g.position, 0), greatest(e.position, g.position, 0) FROM \
     (SELECT max(position) AS position FROM {schema}.storage_events) e, \
     (SELECT max(position) AS position FROM {schema}.storage_events_gone) g";

/// What is due, up to the first one that stays: what is deleted has no gaps.
const EXPIRE: &str = "WITH first AS ( \
        SELECT position, created_at < $1 OR position <= $2 AS is_due FROM {schema}.storage_events \
        WHERE position IS NOT NULL ORDER BY position LIMIT $3), \
     due AS (SELECT max(position) AS position FROM first WHERE is_due AND position < \
        coalesce((SELECT min(position) FROM first WHERE NOT is_due), 9223372036854775807)), \
     gone AS (INSERT INTO {schema}.storage_events_gone AS g (id, position) \
        SELECT 1, position FROM due WHERE position IS NOT NULL \
        ON CONFLICT (id) DO UPDATE SET position = greatest(g.position, excluded.position)) \
     DELETE FROM {schema}.storage_events e USING due WHERE e.position <= due.position";

/// Which objects the caller sees, by where they are, their ids and versions. Each is looked up by its place.
pub(super) const SEEN_OBJECTS: &str = "SELECT a.at FROM unnest($1::integer[], $2::text[], $3::text[], $4::uuid[], $5::uuid[]) \
        AS a (at, bucket, path, id, version), \
     LATERAL (SELECT o.id, o.version FROM {schema}.storage_objects o \
        WHERE o.bucket_id = a.bucket AND o.path = a.path LIMIT 1) o \
     WHERE o.id = a.id AND o.version = a.version";

/// The same of buckets.
const SEEN_BUCKETS: &str = "SELECT a.at FROM unnest($1::integer[], $2::text[], $3::text[], $4::uuid[], $5::uuid[]) \
        AS a (at, bucket, path, id, version), \
     LATERAL (SELECT b.uuid FROM {schema}.storage_buckets b WHERE b.id = a.bucket) b WHERE b.uuid = a.id";

/// What the keeper knows of places: whether what was there still is, as it was, and the bucket as it is, or was at its end.
pub(super) const FACTS: &str = "SELECT CASE WHEN a.path IS NULL THEN b.uuid = a.id \
        ELSE o.id = a.id AND o.version = a.version END, \
        d.sequence IS NOT NULL, d.policy, d.owner_id, b.policy, b.owner_id \
     FROM unnest($1::integer[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::bigint[]) \
        AS a (at, bucket, path, id, version, position) \
     LEFT JOIN {schema}.storage_buckets b ON b.id = a.bucket \
     LEFT JOIN LATERAL (SELECT o.id, o.version FROM {schema}.storage_objects o \
        WHERE o.bucket_id = a.bucket AND o.path = a.path LIMIT 1) o ON true \
     LEFT JOIN LATERAL (SELECT e.sequence, e.payload ->> 'policy' AS policy, e.owner_id \
        FROM {schema}.storage_events e WHERE e.kind = 'storage.bucket.deleted' AND e.bucket_id = a.bucket \
        AND e.sequence >= coalesce( \
            (SELECT s.sequence FROM {schema}.storage_events s WHERE s.position = a.position), 0) \
        ORDER BY e.sequence LIMIT 1) d ON true \
     ORDER BY a.at";

/// Writes down what happened to a provider.
pub(super) async fn provider(pool: &Arc<Pool>, access: &Access, event: &ProviderEvent) -> Result<(), Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let values = [&event.kind() as _, &event.payload() as _];
    alone(pool, "provider_event", &Caller::keeper(), OF_PROVIDER, &values).await.map(drop)
}

/// Events after a position, oldest first.
pub(super) async fn after(
    pool: &Arc<Pool>,
    access: &Access,
    sequence: u64,
    limit: u32,
) -> Result<Vec<Event>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let values = [&int(sequence) as _, &i64::from(limit) as _];
    let found = read(pool, "events", &Caller::keeper(), AFTER, &values).await?;
    if found.len() >= limit as usize || place(pool).await? == 0 {
        return found.iter().map(event).collect();
    }
    let found = read(pool, "events", &Caller::keeper(), AFTER, &values).await?;
    found.iter().map(event).collect()
}

/// Gives a position to the oldest that have none; gives their number.
async fn place(pool: &Arc<Pool>) -> Result<u64, Fault> {
    let keeper = Caller::keeper();
    if read(pool, "events", &keeper, ARE_NEW, &[]).await?.is_empty() {
        return Ok(0);
    }
    let lock = event_place(pool.schema());
    let steps = [Step::As(&keeper), Step::Run(LOCK, &[&lock]), Step::Run(PLACE, &[&BATCH]), Step::Commit];
    let answers = Session::start(pool, "events").await?.run(&steps).await?;
    Ok(answers.last().map_or(0, |answer| answer.affected))
}

/// From where to where events are kept.
pub(super) async fn bounds(pool: &Arc<Pool>, access: &Access) -> Result<EventBounds, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    // Not until there are none: others may write as fast as they are placed.
    while place(pool).await? == BATCH.unsigned_abs() {}
    let rows = read(pool, "events", &Caller::keeper(), BOUNDS, &[]).await?;
    let Some(row) = rows.first() else { return Ok(EventBounds::default()) };
    Ok(EventBounds { gone: count(row, 0)?, last: count(row, 1)? })
}

/// Deletes what is old, or too many. What was never read gets its position first: its place stays known.
pub(super) async fn expire(
    pool: &Arc<Pool>,
    access: &Access,
    before: Timestamp,
    most: u64,
    limit: u32,
) -> Result<u64, Fault> {
    let last = bounds(pool, access).await?.last;
    let (keeper, lock) = (Caller::keeper(), event_place(pool.schema()));
    let beyond = int(last.saturating_sub(most));
    let values = [&before as _, &beyond as _, &i64::from(limit) as _];
    let steps = [Step::As(&keeper), Step::Run(LOCK, &[&lock]), Step::Run(EXPIRE, &values), Step::Commit];
    let answers = Session::start(pool, "expire_events").await?.run(&steps).await?;
    Ok(answers.last().map_or(0, |answer| answer.affected))
}

/// What the caller may be told of events.
pub(super) async fn sights(
    pool: &Arc<Pool>,
    access: &Access,
    events: &[&Event],
) -> Result<Vec<Sight>, Fault> {
    access.on_rows(Permission::BucketRead, None)?;
    let context = access.on_rows(Permission::ObjectRead, None)?;
    if context.is_service() {
        return Ok(vec![Sight::Whole; events.len()]);
    }
    let places: Vec<Place<'_>> = events.iter().map(|event| event.place()).collect();
    let mut seen = seen(pool, context, &places).await?;
    // The usual answer is found by now; the rest is there and hidden, or gone.
    let unseen: Vec<usize> = (0..places.len()).filter(|at| !seen.contains(at)).collect();
    let gone: Vec<Place<'_>> = unseen.iter().filter_map(|at| places.get(*at).copied()).collect();
    let facts = facts(pool, context, &gone).await?;
    seen.extend(
        unseen
            .into_iter()
            .zip(facts)
            .filter_map(|(at, fact)| matches!(fact, Known::Gone(true)).then_some(at)),
    );
    let moved = || events.iter().enumerate().filter(|(at, _)| seen.contains(at));
    let origins: Vec<Place<'_>> = moved().filter_map(|(_, event)| event.origin()).collect();
    let mut origins = self::facts(pool, context, &origins).await?.into_iter();
    let told = |(at, event): (usize, &&Event)| {
        let sees = seen.contains(&at);
        let origin = event.origin().filter(|_| sees);
        sight(sees, origin.map(|_| matches!(origins.next(), Some(Known::Gone(true)))))
    };
    Ok(events.iter().enumerate().map(told).collect())
}

/// Places as statements take them.
#[derive(Default)]
struct Columns<'e> {
    at: Vec<i32>,
    buckets: Vec<&'e str>,
    paths: Vec<Option<&'e str>>,
    ids: Vec<Option<Uuid>>,
    versions: Vec<Option<Uuid>>,
    positions: Vec<i64>,
}

impl<'e> Columns<'e> {
    fn of(places: impl Iterator<Item = (usize, Place<'e>)>) -> Self {
        let mut columns = Self::default();
        for (at, place) in places {
            columns.at.push(i32::try_from(at).unwrap_or(i32::MAX));
            columns.buckets.push(place.bucket);
            columns.paths.push(place.path);
            columns.ids.push(place.id);
            columns.versions.push(place.version);
            columns.positions.push(int(place.sequence));
        }
        columns
    }
}

/// Those of the places at which the caller sees what is meant.
async fn seen(pool: &Arc<Pool>, context: &RlsContext, places: &[Place<'_>]) -> Result<HashSet<usize>, Fault> {
    let all = || places.iter().copied().enumerate();
    let objects = Columns::of(all().filter(|(_, place)| place.path.is_some()));
    let buckets = Columns::of(all().filter(|(_, place)| place.path.is_none()));
    let mut seen = look(pool, context, SEEN_BUCKETS, &buckets).await?;
    match look(pool, context, SEEN_OBJECTS, &objects).await {
        Ok(found) => seen.extend(found),
        // A policy that can't be computed for one row must hide that one, and not the others.
        Err(fault) if fault.of_policy().is_some() => {
            for (at, place) in all().filter(|(_, place)| place.path.is_some()) {
                let one = Columns::of(std::iter::once((at, place)));
                match look(pool, context, SEEN_OBJECTS, &one).await {
                    Ok(found) => seen.extend(found),
                    Err(fault) => {
                        let bucket = BucketName::parse(place.bucket)?;
                        if !policy_failed(&fault, pool, context, Permission::ObjectRead, &bucket).await {
                            return Err(fault);
                        }
                    }
                }
            }
        }
        Err(fault) => return Err(fault),
    }
    Ok(seen)
}

async fn look(
    pool: &Arc<Pool>,
    context: &RlsContext,
    sql: &'static str,
    columns: &Columns<'_>,
) -> Result<HashSet<usize>, Fault> {
    if columns.at.is_empty() {
        return Ok(HashSet::new());
    }
    let values = [
        &columns.at as _,
        &columns.buckets as _,
        &columns.paths as _,
        &columns.ids as _,
        &columns.versions as _,
    ];
    let found = read(pool, "sights", &Caller::of(context), sql, &values).await?;
    let at = |row: &Row| Ok(usize::try_from(row.try_get::<_, i32>(0)?).unwrap_or(usize::MAX));
    found.iter().map(at).collect()
}

/// What the keeper knows of a place.
enum Known {
    /// What was there still is: rows decide.
    There,
    /// It is gone, and the caller could see it, or not.
    Gone(bool),
}

async fn facts(pool: &Arc<Pool>, context: &RlsContext, places: &[Place<'_>]) -> Result<Vec<Known>, Fault> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let columns = Columns::of(places.iter().copied().enumerate());
    let values = [
        &columns.at as _,
        &columns.buckets as _,
        &columns.paths as _,
        &columns.ids as _,
        &columns.versions as _,
        &columns.positions as _,
    ];
    let found = read(pool, "sights", &Caller::keeper_by_keys(), FACTS, &values).await?;
    let rules = rules::current(pool).await?;
    let now = now().timestamp_micros();
    let known = |(row, place): (&Row, &Place<'_>)| {
        if row.try_get::<_, Option<bool>>(0)? == Some(true) {
            return Ok(Known::There);
        }
        let at = if row.try_get(1)? { 2 } else { 4 };
        let household = match row.try_get::<_, Option<&str>>(at)? {
            None => None,
            Some(word) => {
                let policy = BucketPolicy::from_word(word).ok_or_else(|| Fault::corrupt("policy"))?;
                Some(Household { policy, owner: row.try_get(at + 1)? })
            }
        };
        Ok(Known::Gone(could_see(context, *place, household, rules.policies(), now)))
    };
    found.iter().zip(places).map(known).collect()
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
