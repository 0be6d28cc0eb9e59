//! What is at a path, as the predicates judge it, for the decisions of [`crate::executor::decide`]: seen by the
//! keeper, as an answer may depend on what the caller can't see.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest;
use tokio_postgres::Row;
use uuid::Uuid;

use super::errors::Fault;
use super::policies::IS_BY_HAND;
use super::pool::Pool;
use super::quotas;
use super::rls::{Caller, Subject, flag};
use super::rows::{self, BUCKET, BUCKET_WIDTH, OBJECT, OBJECT_WIDTH};
use super::rules::{self, Rules, VERSION};
use super::schema::SchemaName;
use super::session::{Session, Step, read};
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::decide::{self, Freed, PolicyView, Target};
use crate::executor::proposal::{self, Proposed, Purpose, Seen};
use crate::executor::quota::Limits;
use crate::executor::{Admission, Announced};
use crate::file::{BlobKey, PutMode};
use crate::path::ObjectPath;
use crate::permissions::policy::{Candidate, asks_more};
use crate::permissions::{Access, Permission, RlsContext};
use crate::versions::Versioning;

/// What is at a path. It is gone into for each path, by the whole key, however small the table was when a statement was planned: else
/// all objects of a bucket may be read for a few. So these statements are the keeper's by keys.
fn object_at(path: &str) -> String {
    format!(
        "LEFT JOIN LATERAL (SELECT o.* FROM {{schema}}.storage_objects o \
         WHERE o.bucket_id = b.id AND o.path = {path} LIMIT 1) o ON true"
    )
}

fn target_statement(quotas: (&str, &str), lock: &str) -> String {
    let (columns, tables) = quotas;
    let from = format!("{{schema}}.storage_buckets b {} {tables}", object_at("$4"));
    look_statement(columns, &from, lock)
}

/// The same of many paths, which stand there once: a row for each, in their order.
fn targets_statement(more: (&str, &str), lock: &str) -> String {
    let (columns, tables) = more;
    let from = format!(
        "{{schema}}.storage_buckets b \
         CROSS JOIN unnest($4::text[]) WITH ORDINALITY AS asked (path, number) {} {}",
        object_at("asked.path"),
        tables.replace("$4", "asked.path")
    );
    look_statement(columns, &from, &format!("ORDER BY asked.number {lock}"))
}

fn look_statement(columns: &str, from: &str, end: &str) -> String {
    format!(
        "SELECT {BUCKET}, {OBJECT}, {}, {}, {}, {}, {VERSION}, now(){columns} FROM {from} WHERE b.id = $3 {end}",
        flag(Permission::ObjectRead),
        flag(Permission::ObjectCreate),
        flag(Permission::ObjectOverwrite),
        flag(Permission::ObjectDelete),
    )
}

/// Where in its rows flags begin, and what follows them.
const FLAGS: usize = BUCKET_WIDTH + OBJECT_WIDTH;
const IN_FORCE: usize = FLAGS + 4;
const NOW: usize = FLAGS + 5;
const LIMITS: usize = FLAGS + 6;
pub(super) const BY_HAND: usize = FLAGS + 6;

/// Looks at a path under the table's predicates of all permissions: role, user, bucket, path.
pub(super) static TARGET: LazyLock<String> = LazyLock::new(|| target_statement(("", ""), ""));

/// The same, and the quotas that a write there meets beside the bucket's: those of folders, of whoever is charged, and
/// of all that is stored.
pub(super) static TARGET_TO_ADMIT: LazyLock<String> = LazyLock::new(|| target_statement(quotas::OVER, ""));

/// The same, and keeps the bucket from being deleted until the transaction ends.
pub(super) static TARGET_TO_WRITE: LazyLock<String> =
    LazyLock::new(|| target_statement(("", ""), "FOR KEY SHARE OF b"));

/// As [`TARGET_TO_ADMIT`], of many paths.
pub(super) static TARGETS_TO_ADMIT: LazyLock<String> = LazyLock::new(|| targets_statement(quotas::OVER, ""));

/// As [`TARGET_TO_WRITE`], of many paths; and whether objects have policies that were made by hand, in the column [`BY_HAND`].
pub(super) static TARGETS_TO_WRITE: LazyLock<String> = LazyLock::new(|| {
    let by_hand = format!(
        ", EXISTS (SELECT FROM pg_catalog.pg_policy p \
         WHERE p.polrelid = '{{schema}}.storage_objects'::regclass AND {IS_BY_HAND})"
    );
    targets_statement((by_hand.as_str(), ""), "FOR KEY SHARE OF b")
});

/// Waits until nobody else is at these places, and keeps them. A statement of its own, as what is looked at
/// afterwards must be what others left.
pub(super) const LOCK: &str = "SELECT pg_advisory_xact_lock(place) FROM unnest($1::bigint[]) place";

/// Locks the rows of those objects of a bucket that are there, in the order in which they are named: as [`sorted`] says. Whoever changes
/// several in one transaction has all of them before anything is counted: who has one, and waits for the counter, is not waited for.
pub(super) const LOCK_ROWS: &str = "SELECT count(*) FROM unnest($2::text[]) at (path), \
     LATERAL (SELECT 1 FROM {schema}.storage_objects o WHERE o.bucket_id = $1 AND o.path = at.path LIMIT 1 FOR UPDATE) there";

/// Paths in the order in which everybody locks their rows.
pub(super) fn sorted<'p>(paths: impl IntoIterator<Item = &'p ObjectPath>) -> Vec<&'p str> {
    let mut paths: Vec<&str> = paths.into_iter().map(ObjectPath::as_str).collect();
    paths.sort_unstable();
    paths
}

/// Waits until nobody writes these blobs.
pub(super) const AWAIT: &str = "SELECT pg_advisory_xact_lock_shared(place) FROM unnest($1::bigint[]) place";

/// What stands for a path, among locks: writers of one path take turns.
pub(super) fn place(bucket: &BucketName, path: &ObjectPath) -> i64 {
    number(&[b"path", bucket.as_str().as_bytes(), path.as_str().as_bytes()])
}

/// What stands for a blob, among locks. It is held by the transaction that makes the blob known, until its very
/// end: so that whoever asks whether a blob is known, after a connection or a process was lost, does not get his
/// answer before a COMMIT that is still under way.
pub(super) fn blob_place(key: &BlobKey) -> i64 {
    number(&[b"blob", key.as_str().as_bytes()])
}

/// What stands for the orphan job, among locks.
pub(super) fn orphan_job_place(schema: &SchemaName) -> i64 {
    number(&[b"orphan job", schema.to_string().as_bytes()])
}

/// What stands for blobs that rows let go of, among locks: who copies blobs holds it, and who deletes them shares it.
pub(super) fn blob_hold_place(schema: &SchemaName) -> i64 {
    number(&[b"blobs are held", schema.to_string().as_bytes()])
}

/// What stands for jobs of a kind of which there is one at a time, among locks.
pub(super) fn job_place(schema: &SchemaName, kind: &str) -> i64 {
    number(&[b"job", kind.as_bytes(), schema.to_string().as_bytes()])
}

/// What stands for the positions of events, among locks: who gives them holds it.
pub(super) fn event_place(schema: &SchemaName) -> i64 {
    number(&[b"positions of events", schema.to_string().as_bytes()])
}

fn number(parts: &[&[u8]]) -> i64 {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
        context.update(b"\0");
    }
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    i64::from_be_bytes(first)
}

/// Which version of policies was in force when a row of the statements above was read.
pub(super) fn version(row: &Row) -> Result<Uuid, Fault> {
    Ok(row.try_get(IN_FORCE)?)
}

/// When the transaction began that read a row of the statements above: `now()` for everything in it.
pub(super) fn began(row: &Row) -> Result<Timestamp, Fault> {
    Ok(row.try_get(NOW)?)
}

/// What a row of the statements above says; `None` where there is no bucket. Of the row that is there, policies are
/// asked here: the keeper is not subject to them.
pub(super) fn seen(
    row: Option<&Row>,
    rules: &Rules,
    context: &RlsContext,
    purpose: Purpose,
    (bucket, path): (&BucketName, &ObjectPath),
) -> Result<Option<Seen>, Fault> {
    let Some(row) = row else { return Ok(None) };
    let there = rows::is_there(row, BUCKET_WIDTH)?;
    let [reads, creates, overwrites, deletes]: [bool; 4] =
        [row.try_get(FLAGS)?, row.try_get(FLAGS + 1)?, row.try_get(FLAGS + 2)?, row.try_get(FLAGS + 3)?];
    let target = Target {
        bucket: rows::bucket(row, 0)?,
        existing: if there { Some(rows::object_at(row, BUCKET_WIDTH, bucket, path)?) } else { None },
        visible: there && reads,
        creatable: creates,
        overwritable: there && overwrites,
        deletable: there && deletes,
        policy: PolicyView::default(),
    };
    let mut seen = Seen { target, reads: there && reads, overwrites: there && overwrites };
    if rules.speak_of(context) {
        seen.target.policy = proposal::view(rules.policies(), context, bucket);
        seen.ask_of_old_row(rules.policies(), context, began(row)?.timestamp_micros(), purpose);
    }
    Ok(Some(seen))
}

/// Decides whether a write in this mode is let in, and gives what it would meet. `row` is what was seen at the path.
pub(super) fn write(
    row: Option<&Row>,
    rules: &Rules,
    access: &Access,
    at: (&BucketName, &ObjectPath),
    mode: &PutMode,
    proposed: Proposed<'_>,
) -> Result<Target, Fault> {
    let context = access.on_object(decide::first_permission(mode), at.0, at.1)?;
    let mut seen = seen(row, rules, context, Purpose::Write, at)?;
    if let (Some(seen), Some(row), true) = (&mut seen, row, rules.speak_of(context)) {
        seen.ask_policies(rules.policies(), context, began(row)?.timestamp_micros(), proposed);
    }
    Ok(decide::write(access, at, mode, seen.map(|seen| seen.target))?)
}

/// Looks at a path, without any lock; and the rules that were in force then.
pub(super) async fn look(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<(Option<Row>, Arc<Rules>), Fault> {
    look_by(pool, access, bucket, path, &TARGET).await
}

async fn look_by(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
    sql: &'static str,
) -> Result<(Option<Row>, Arc<Rules>), Fault> {
    let Subject { role, user } = Subject::from(access.context());
    let values = [&role as _, &user as _, &bucket.as_str() as _, &path.as_str() as _];
    let row = read(pool, "look", &Caller::keeper_by_keys(), sql, &values).await?.into_iter().next();
    let rules = match &row {
        Some(row) => rules::at(pool, version(row)?).await?,
        None => Arc::default(),
    };
    Ok((row, rules))
}

/// Decides whether a URL may be signed that writes in this mode. What the upload will be is not known now: policies
/// that ask for it refuse.
pub(super) async fn sign(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
    mode: &PutMode,
) -> Result<(), Fault> {
    let context = access.on_object(decide::first_permission(mode), bucket, path)?;
    let (row, rules) = look(pool, access, bucket, path).await?;
    let seen = seen(row.as_ref(), &rules, context, Purpose::Write, (bucket, path))?;
    let mut seen = seen.map(Seen::without_unseen);
    if let (Some(seen), Some(row), true) = (&mut seen, &row, rules.speak_of(context)) {
        let candidate = Candidate::announced(bucket, path, None, None).whole();
        let now = began(row)?.timestamp_micros();
        seen.ask_policies(rules.policies(), context, now, Proposed::Own(&candidate));
    }
    Ok(decide::sign(access, (bucket, path), mode, seen.map(|seen| seen.target))?)
}

/// Leave to write, before a byte was read.
pub(super) async fn admit(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
    mode: &PutMode,
    announced: &Announced,
) -> Result<Admission, Fault> {
    access.on_object(decide::first_permission(mode), bucket, path)?;
    let (row, rules) = look_by(pool, access, bucket, path, &TARGET_TO_ADMIT).await?;
    admitted(pool, access, row.as_ref(), &rules, (bucket, path), mode, announced).await
}

/// The same of many paths of a bucket, which stand there once: one look for all of them.
pub(super) async fn admit_many(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    wanted: &[(ObjectPath, Announced)],
    mode: &PutMode,
) -> Result<Vec<Result<Admission, StorageError>>, Fault> {
    let Subject { role, user } = Subject::from(access.context());
    let paths: Vec<&str> = wanted.iter().map(|(path, _)| path.as_str()).collect();
    let values = [&role as _, &user as _, &bucket.as_str() as _, &paths as _];
    let rows = read(pool, "look", &Caller::keeper_by_keys(), &TARGETS_TO_ADMIT, &values).await?;
    let rules = match rows.first() {
        Some(row) => rules::at(pool, version(row)?).await?,
        None => Arc::default(),
    };
    let mut outcomes = Vec::with_capacity(wanted.len());
    for (number, (path, announced)) in wanted.iter().enumerate() {
        let admitted = match access.on_object(decide::first_permission(mode), bucket, path) {
            Ok(_) => admitted(pool, access, rows.get(number), &rules, (bucket, path), mode, announced).await,
            Err(error) => Err(error.into()),
        };
        outcomes.push(admitted.map_err(|fault| fault.into_storage("admit_puts")));
    }
    Ok(outcomes)
}

/// Leave to write, by what was seen at the path.
async fn admitted(
    pool: &Arc<Pool>,
    access: &Access,
    row: Option<&Row>,
    rules: &Rules,
    (bucket, path): (&BucketName, &ObjectPath),
    mode: &PutMode,
    announced: &Announced,
) -> Result<Admission, Fault> {
    let candidate = Candidate::announced(bucket, path, announced.attributes.as_ref(), announced.size);
    let candidate = if announced.is_final { candidate.whole() } else { candidate };
    let proposed = Proposed::Own(&candidate);
    let target = write(row, rules, access, (bucket, path), mode, proposed)?;
    let limits = match row {
        Some(row) => quotas::limits(row, LIMITS)?,
        None => Limits::default(),
    };
    let limited = target.bucket.config.quota_bytes.is_some()
        || [limits.user, limits.global].iter().any(Option::is_some)
        || !limits.folders.is_empty();
    let freed = match target.bucket.config.versioning {
        Versioning::Suspended if limited => Box::pin(freed(pool, access, bucket, path)).await?,
        Versioning::Off | Versioning::Enabled | Versioning::Suspended => None,
    };
    let asks_more = asks_more(rules.policies(), access.context(), &candidate);
    Ok(Admission { asks_more, ..decide::admission(access, target, &limits, freed) })
}

/// The null version that would make way for a write: deleted as the caller, for a try, as only that asks the policies.
async fn freed(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<Option<Freed>, Fault> {
    const TRY: &str = "DELETE FROM {schema}.storage_object_versions v \
         WHERE v.bucket_id = $1 AND v.path = $2 AND NOT v.versioned \
         RETURNING CASE WHEN v.is_delete_marker THEN 0 ELSE v.size END, v.owner_id";
    let caller = Caller::of(access.context());
    let values = [&bucket.as_str() as _, &path.as_str() as _];
    let mut session = Session::start(pool, "admit_put").await?;
    let tried = match session.run(&[Step::As(&caller), Step::Run(TRY, &values)]).await {
        Ok(tried) => tried,
        Err(fault) if fault.of_policy().is_some() => return Ok(None),
        Err(fault) => return Err(fault),
    };
    session.run(&[Step::Once("ROLLBACK")]).await?;
    match tried.first().and_then(|answer| answer.rows.first()) {
        Some(row) => Ok(Some(Freed { bytes: rows::count(row, 0)?, owner: row.try_get(1)? })),
        None => Ok(None),
    }
}
