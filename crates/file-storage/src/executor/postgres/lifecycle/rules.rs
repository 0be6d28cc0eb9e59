//! Rules as they are kept, and what a run remembers of the clock.

use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::lifecycle::{LEAP_MICROS, name_is_taken, too_many_rules};
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::jobs;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::rls::Caller;
use crate::executor::postgres::rows::count;
use crate::executor::postgres::session::{Answer, Session, Step, alone, read};
use crate::executor::{LifecycleClock, NewJob};
use crate::lifecycle::{LifecycleRule, MAX_RULES, RuleSource, RuleSpec};
use crate::permissions::{Access, Permission};

const ALL: &str = "SELECT id, bucket_id, source, spec, created_at, updated_at FROM {schema}.lifecycle_rules \
     WHERE $1::text IS NULL OR bucket_id = $1 ORDER BY bucket_id, created_at, id";

/// The bucket stays, and nobody else changes its rules meanwhile.
const KEEP_BUCKET: &str = "SELECT 1 FROM {schema}.storage_buckets WHERE id = $1 FOR NO KEY UPDATE";

const IS_TAKEN: &str = "SELECT 1 FROM {schema}.lifecycle_rules WHERE bucket_id = $1 AND source = $2 AND name = $3 \
     AND id <> $4";

const PUT: &str = "INSERT INTO {schema}.lifecycle_rules (id, bucket_id, source, name, spec, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET bucket_id = excluded.bucket_id, \
     source = excluded.source, name = excluded.name, spec = excluded.spec, updated_at = excluded.updated_at";

const COUNT: &str = "SELECT count(*) FROM {schema}.lifecycle_rules WHERE bucket_id = $1";

const REMOVE: &str = "DELETE FROM {schema}.lifecycle_rules WHERE id = $1";

const REMOVE_OF_SOURCE: &str = "DELETE FROM {schema}.lifecycle_rules WHERE bucket_id = $1 AND source = $2";

const CLOCK: &str = "INSERT INTO {schema}.lifecycle_state AS s (id, seen_at) VALUES (1, coalesce($1, now())) \
     ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, held_until = CASE \
        WHEN excluded.seen_at - s.seen_at > $2::bigint * interval '1 microsecond' \
            THEN excluded.seen_at + $2::bigint * interval '1 microsecond' \
        WHEN s.held_until > excluded.seen_at \
            AND s.held_until - excluded.seen_at <= $2::bigint * interval '1 microsecond' THEN s.held_until END \
     RETURNING seen_at, held_until";

const TAKE_TURN: &str = "INSERT INTO {schema}.lifecycle_state AS s (id, turn_at) VALUES (1, $1) \
     ON CONFLICT (id) DO UPDATE SET turn_at = $1 WHERE s.turn_at IS NULL OR s.turn_at < $1 \
     OR s.turn_at - $1 > $2::bigint * interval '1 microsecond'";

/// A job of this kind that does something, and has not ended.
const UNDER_WAY: &str = "SELECT 1 FROM {schema}.jobs WHERE kind = $1 AND status IN ('pending', 'running') \
     AND NOT dry_run LIMIT 1";

/// The rules that are kept.
pub(in crate::executor::postgres) async fn all(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: Option<&BucketName>,
) -> Result<Vec<LifecycleRule>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let bucket = bucket.map(BucketName::as_str);
    let found = read(pool, "lifecycle_rules", &Caller::keeper(), ALL, &[&bucket]).await?;
    found.iter().map(rule).collect()
}

fn rule(row: &Row) -> Result<LifecycleRule, Fault> {
    let Json(spec): Json<RuleSpec> = row.try_get(3)?;
    Ok(LifecycleRule {
        id: row.try_get(0)?,
        bucket: BucketName::parse(row.try_get(1)?)?,
        source: RuleSource::from_word(row.try_get(2)?).ok_or_else(|| Fault::corrupt("source of a rule"))?,
        spec,
        created_at: row.try_get(4)?,
        updated_at: row.try_get(5)?,
    })
}

/// Keeps a rule.
pub(in crate::executor::postgres) async fn set(
    pool: &Arc<Pool>,
    access: &Access,
    rule: &LifecycleRule,
) -> Result<(), Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let mut session = begin(pool, &rule.bucket).await?;
    put(&mut session, rule).await?;
    session.run(&[Step::Commit]).await.map(drop)
}

/// A transaction over a bucket that is there.
async fn begin(pool: &Arc<Pool>, bucket: &BucketName) -> Result<Session, Fault> {
    let mut session = Session::start(pool, "set_lifecycle_rule").await?;
    let steps = [Step::As(&Caller::keeper()), Step::Run(KEEP_BUCKET, &[&bucket.as_str()])];
    let found = session.run(&steps).await?;
    if found.first().is_none_or(|answer| answer.rows.is_empty()) {
        return Err(StorageError::BucketNotFound { bucket: bucket.clone() }.into());
    }
    Ok(session)
}

async fn put(session: &mut Session, rule: &LifecycleRule) -> Result<(), Fault> {
    let (bucket, source) = (rule.bucket.as_str(), rule.source.as_str());
    let taken = session
        .run(&[Step::Run(IS_TAKEN, &[&bucket as _, &source as _, &rule.spec.name as _, &rule.id as _])])
        .await?;
    if taken.first().is_some_and(|answer| !answer.rows.is_empty()) {
        return Err(name_is_taken(rule).into());
    }
    let spec = Json(&rule.spec);
    let values = [
        &rule.id as _,
        &bucket as _,
        &source as _,
        &rule.spec.name as _,
        &spec as _,
        &rule.created_at as _,
        &rule.updated_at as _,
    ];
    let answers = session.run(&[Step::Run(PUT, &values), Step::Run(COUNT, &[&bucket])]).await?;
    let rules = match answers.last().and_then(|answer| answer.rows.first()) {
        Some(row) => count(row, 0)?,
        None => 0,
    };
    let fits = usize::try_from(rules).is_ok_and(|rules| rules <= MAX_RULES);
    if fits { Ok(()) } else { Err(too_many_rules().into()) }
}

/// Forgets a rule; `false` where there is none.
pub(in crate::executor::postgres) async fn remove(
    pool: &Arc<Pool>,
    access: &Access,
    id: Uuid,
) -> Result<bool, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let gone = alone(pool, "remove_lifecycle_rule", &Caller::keeper(), REMOVE, &[&id]).await?;
    Ok(gone.affected == 1)
}

/// Keeps these rules in place of those of the same source.
pub(in crate::executor::postgres) async fn replace(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    source: RuleSource,
    rules: &[LifecycleRule],
) -> Result<(), Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let mut session = begin(pool, bucket).await?;
    let of_source = [&bucket.as_str() as _, &source.as_str() as _];
    session.run(&[Step::Run(REMOVE_OF_SOURCE, &of_source)]).await?;
    for rule in rules {
        put(&mut session, rule).await?;
    }
    session.run(&[Step::Commit]).await.map(drop)
}

/// Looks at the clock, and remembers that.
pub(in crate::executor::postgres) async fn clock(
    pool: &Arc<Pool>,
    access: &Access,
    now: Option<Timestamp>,
) -> Result<LifecycleClock, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let values = [&now as _, &LEAP_MICROS as _];
    let Answer { rows, .. } = alone(pool, "lifecycle_clock", &Caller::keeper(), CLOCK, &values).await?;
    let row = rows.first().ok_or_else(|| Fault::corrupt("clock of lifecycle rules"))?;
    Ok(LifecycleClock { now: row.try_get(0)?, held_until: row.try_get(1)? })
}

/// Whether the run that is due at this time is the caller's; then its job is written down with it.
pub(in crate::executor::postgres) async fn take_turn(
    pool: &Arc<Pool>,
    access: &Access,
    due: Timestamp,
    job: Option<(&Access, &NewJob)>,
) -> Result<bool, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let mut session = Session::start(pool, "take_lifecycle_turn").await?;
    let values = [&due as _, &LEAP_MICROS as _];
    let taken = session.run(&[Step::As(&Caller::keeper()), Step::Run(TAKE_TURN, &values)]).await?;
    let is_taken = taken.first().is_some_and(|answer| answer.affected == 1);
    if let Some((access, job)) = job.filter(|_| is_taken) {
        let running = session.run(&[Step::Run(UNDER_WAY, &[&job.kind.as_str()])]).await?;
        if running.first().is_none_or(|answer| answer.rows.is_empty()) {
            jobs::create_on(&mut session, access, job).await?;
        }
    }
    session.run(&[Step::Commit]).await?;
    Ok(is_taken)
}
