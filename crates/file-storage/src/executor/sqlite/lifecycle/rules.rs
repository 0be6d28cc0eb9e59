//! Rules as they are kept, and what a run remembers of the clock.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use uuid::Uuid;

use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::lifecycle::{LEAP_MICROS, name_is_taken, too_many_rules};
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::jobs;
use crate::executor::sqlite::rls::text;
use crate::executor::sqlite::rows::{self, micros, str, time, uuid};
use crate::executor::{LifecycleClock, NewJob};
use crate::lifecycle::{LifecycleRule, MAX_RULES, RuleSource};
use crate::permissions::{Access, Permission};

/// The rules that are kept.
pub(in crate::executor::sqlite) fn all(
    conn: &Connection,
    access: &Access,
    bucket: Option<&BucketName>,
) -> Result<Vec<LifecycleRule>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let mut statement = conn.prepare_cached(
        "SELECT id, bucket_id, source, spec, created_at, updated_at FROM lifecycle_rules \
         WHERE :bucket IS NULL OR bucket_id = :bucket ORDER BY bucket_id, created_at, id",
    )?;
    let mut rows = statement.query(named_params! { ":bucket": bucket.map(BucketName::as_str) })?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(rule(row)?);
    }
    Ok(found)
}

fn rule(row: &Row<'_>) -> Result<LifecycleRule, Fault> {
    Ok(LifecycleRule {
        id: uuid(row, 0)?,
        bucket: BucketName::parse(str(row, 1)?)?,
        source: RuleSource::from_word(str(row, 2)?).ok_or_else(|| Fault::corrupt("source of a rule"))?,
        spec: rows::json(row, 3, "lifecycle rule")?,
        created_at: time(row, 4)?,
        updated_at: time(row, 5)?,
    })
}

/// Keeps a rule.
pub(in crate::executor::sqlite) fn set(
    conn: &Connection,
    access: &Access,
    rule: &LifecycleRule,
) -> Result<(), Fault> {
    access.on_rows(Permission::Maintain, None)?;
    is_there(conn, &rule.bucket)?;
    put(conn, rule)?;
    let rules: i64 = conn
        .prepare_cached("SELECT count(*) FROM lifecycle_rules WHERE bucket_id = :bucket")?
        .query_row(named_params! { ":bucket": rule.bucket.as_str() }, |row| row.get(0))?;
    let fits = usize::try_from(rules).is_ok_and(|rules| rules <= MAX_RULES);
    if fits { Ok(()) } else { Err(too_many_rules().into()) }
}

fn is_there(conn: &Connection, bucket: &BucketName) -> Result<(), Fault> {
    let found = conn
        .prepare_cached("SELECT 1 FROM storage_buckets WHERE id = :bucket")?
        .query_row(named_params! { ":bucket": bucket.as_str() }, |_| Ok(()))
        .optional()?;
    found.ok_or_else(|| StorageError::BucketNotFound { bucket: bucket.clone() }.into())
}

fn put(conn: &Connection, rule: &LifecycleRule) -> Result<(), Fault> {
    let (id, bucket, source) = (text(rule.id), rule.bucket.as_str(), rule.source.as_str());
    let taken: bool = conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM lifecycle_rules WHERE bucket_id = :bucket AND source = :source \
             AND name = :name AND id <> :id)",
        )?
        .query_row(
            named_params! { ":bucket": bucket, ":source": source, ":name": rule.spec.name, ":id": id },
            |row| row.get(0),
        )?;
    if taken {
        return Err(name_is_taken(rule).into());
    }
    let spec = serde_json::to_string(&rule.spec).map_err(|_| Fault::corrupt("lifecycle rule"))?;
    conn.prepare_cached(
        "INSERT INTO lifecycle_rules (id, bucket_id, source, name, spec, created_at, updated_at) \
         VALUES (:id, :bucket, :source, :name, :spec, :created, :updated) ON CONFLICT (id) DO UPDATE SET \
         bucket_id = excluded.bucket_id, source = excluded.source, name = excluded.name, spec = excluded.spec, \
         updated_at = excluded.updated_at",
    )?
    .execute(named_params! {
        ":id": id, ":bucket": bucket, ":source": source, ":name": rule.spec.name, ":spec": spec,
        ":created": micros(rule.created_at), ":updated": micros(rule.updated_at),
    })?;
    Ok(())
}

/// Forgets a rule; `false` where there is none.
pub(in crate::executor::sqlite) fn remove(
    conn: &Connection,
    access: &Access,
    id: Uuid,
) -> Result<bool, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let gone = conn
        .prepare_cached("DELETE FROM lifecycle_rules WHERE id = :id")?
        .execute(named_params! { ":id": text(id) })?;
    Ok(gone == 1)
}

/// Keeps these rules in place of those of the same source.
pub(in crate::executor::sqlite) fn replace(
    conn: &Connection,
    access: &Access,
    bucket: &BucketName,
    source: RuleSource,
    rules: &[LifecycleRule],
) -> Result<(), Fault> {
    access.on_rows(Permission::Maintain, None)?;
    is_there(conn, bucket)?;
    conn.prepare_cached("DELETE FROM lifecycle_rules WHERE bucket_id = :bucket AND source = :source")?
        .execute(named_params! { ":bucket": bucket.as_str(), ":source": source.as_str() })?;
    rules.iter().try_for_each(|rule| set(conn, access, rule))
}

/// Looks at the clock, and remembers that.
pub(in crate::executor::sqlite) fn clock(
    conn: &Connection,
    access: &Access,
    now: Timestamp,
) -> Result<LifecycleClock, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let held_until: Option<i64> = conn
        .prepare_cached(
            "INSERT INTO lifecycle_state AS s (id, seen_at) VALUES (1, :now) ON CONFLICT (id) DO UPDATE SET \
             held_until = CASE WHEN :now - s.seen_at > :leap THEN :now + :leap \
                WHEN s.held_until > :now AND s.held_until - :now <= :leap THEN s.held_until END, \
             seen_at = :now RETURNING held_until",
        )?
        .query_row(named_params! { ":now": micros(now), ":leap": LEAP_MICROS }, |row| row.get(0))?;
    let held_until = held_until.and_then(chrono::DateTime::from_timestamp_micros);
    Ok(LifecycleClock { now, held_until })
}

/// Whether the run that is due at this time is the caller's; then its job is written down with it.
pub(in crate::executor::sqlite) fn take_turn(
    conn: &Connection,
    access: &Access,
    due: Timestamp,
    job: Option<&(Access, NewJob)>,
) -> Result<bool, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let taken = conn
        .prepare_cached(
            "INSERT INTO lifecycle_state AS s (id, turn_at) VALUES (1, :due) ON CONFLICT (id) DO UPDATE SET \
             turn_at = :due WHERE s.turn_at IS NULL OR s.turn_at < :due OR s.turn_at - :due > :leap",
        )?
        .execute(named_params! { ":due": micros(due), ":leap": LEAP_MICROS })?;
    if let Some((access, job)) = job.filter(|_| taken == 1) {
        let is_under_way = conn
            .prepare_cached(
                "SELECT 1 FROM jobs WHERE kind = :kind AND status IN ('pending', 'running') AND NOT dry_run LIMIT 1",
            )?
            .exists(named_params! { ":kind": job.kind.as_str() })?;
        if !is_under_way {
            jobs::create(conn, access, job)?;
        }
    }
    Ok(taken == 1)
}
