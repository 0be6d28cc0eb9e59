//! What workers do: claims, taken and renewed, and how attempts end.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use uuid::Uuid;

use super::copies;
use super::entries::entry;
use crate::executor::columns::{ENTRY, ENTRY_WIDTH};
use crate::executor::displaced::{WORKER_ENDED, span, words};
use crate::executor::postgres::decide::{LOCK, blob_place};
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::rls::Caller;
use crate::executor::postgres::rows::{blob_key, opt_digest};
use crate::executor::postgres::session::{Session, Step, alone};
use crate::executor::{AttemptEnd, Claim, ClaimedEntries, ClaimedEntry, QueueEntry, QueueReason};
use crate::file::BlobKey;
use crate::permissions::{Access, Permission};

/// Takes claims back that nobody renewed; gives what was at its last attempt.
static EXPIRE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH ended AS (UPDATE {{schema}}.upload_queue u SET \
             status = CASE WHEN u.attempt_count >= u.max_attempts THEN 'failed' ELSE 'pending' END, \
             completed_at = CASE WHEN u.attempt_count >= u.max_attempts THEN now() END, \
             next_attempt_at = now(), error_message = $1, leased_by = NULL, leased_until = NULL \
             WHERE u.id = ANY (ARRAY(SELECT id FROM {{schema}}.upload_queue WHERE status = 'in_progress' \
                 AND leased_until <= now() FOR UPDATE SKIP LOCKED)) RETURNING {ENTRY}) \
         SELECT * FROM ended WHERE status = 'failed'"
    )
});

/// Takes entries of each way, as many as may be taken of all, by their turn. What others are at is passed over.
static CLAIM: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH due AS (SELECT w.id FROM unnest($1::text[]) source, unnest($2::text[]) target, LATERAL ( \
             SELECT q.id, q.next_attempt_at FROM {{schema}}.upload_queue q WHERE q.status = 'pending' \
             AND q.target_provider = target AND q.source_provider = source AND q.next_attempt_at <= now() \
             ORDER BY q.next_attempt_at LIMIT $3 FOR UPDATE SKIP LOCKED) w ORDER BY w.next_attempt_at LIMIT $3), \
         claimed AS (UPDATE {{schema}}.upload_queue u SET status = 'in_progress', attempt_count = u.attempt_count + 1, \
             started_at = now(), leased_by = $4, leased_until = now() + $5::bigint * interval '1 microsecond' \
             WHERE u.id = ANY (ARRAY(SELECT id FROM due)) RETURNING {ENTRY}, u.blob_key) \
         SELECT c.*, coalesce( \
             (SELECT s.sha256 FROM {{schema}}.storage_segments s WHERE s.blob_key = c.blob_key), \
             (SELECT p.sha256 FROM {{schema}}.multipart_parts p WHERE p.blob_key = c.blob_key)) \
         FROM claimed c ORDER BY c.next_attempt_at, c.id"
    )
});

const FORGET: &str = "DELETE FROM {schema}.upload_queue WHERE id = ANY ($1::uuid[])";

const RENEW: &str = "UPDATE {schema}.upload_queue SET leased_until = now() + $3::bigint * interval '1 microsecond' \
     WHERE id = ANY (ARRAY(SELECT id FROM {schema}.upload_queue WHERE id = ANY ($1::uuid[]) \
         AND status = 'in_progress' AND leased_by = $2 ORDER BY id FOR UPDATE)) RETURNING id";

pub(super) const FLIP_SEGMENT: &str =
    "UPDATE {schema}.storage_segments SET provider = $2, blob_key = $3 WHERE blob_key = $1";

/// Nobody completes the upload of a part meanwhile, who would link the old blob.
pub(super) const HOLD: &str = "SELECT FROM {schema}.multipart_uploads WHERE id = \
     (SELECT upload_id FROM {schema}.multipart_parts WHERE blob_key = $1) FOR NO KEY UPDATE";

pub(super) const FLIP_PART: &str =
    "UPDATE {schema}.multipart_parts SET provider = $2, blob_key = $3 WHERE blob_key = $1";

const COMPLETE: &str = "UPDATE {schema}.upload_queue SET status = 'completed', completed_at = now(), error_message = NULL, \
     leased_by = NULL, leased_until = NULL WHERE id = $1 AND status = 'in_progress' AND leased_by = $2 AND blob_key = $3 \
     AND target_provider = $4";

/// The old blob goes, unless it stays as a copy.
const DISCARD: &str = "INSERT INTO {schema}.blob_deletions (blob_key, provider, size) SELECT $1, $2, $3 \
     WHERE NOT EXISTS (SELECT FROM {schema}.blob_copies WHERE copy_key = $1) ON CONFLICT DO NOTHING";

/// Ends an attempt: whether it is given up, or is where it was the last, and whether it does not count.
static END: LazyLock<String> = LazyLock::new(|| {
    let fails = "($3::boolean OR $4::boolean AND u.attempt_count >= u.max_attempts)";
    format!(
        "UPDATE {{schema}}.upload_queue u SET status = CASE WHEN {fails} THEN 'failed' ELSE 'pending' END, \
         completed_at = CASE WHEN {fails} THEN now() END, \
         attempt_count = greatest(u.attempt_count - $5::integer, 0), \
         next_attempt_at = coalesce(now() + $6::bigint * interval '1 microsecond', u.next_attempt_at), \
         error_message = coalesce($7, u.error_message), leased_by = NULL, leased_until = NULL \
         WHERE u.id = $1 AND u.status = 'in_progress' AND u.leased_by = $2 RETURNING {ENTRY}"
    )
});

/// Takes entries whose turn has come. Claims that ended by themselves are anybody's first.
pub(in crate::executor::postgres) async fn claim(
    pool: &Arc<Pool>,
    access: &Access,
    claim: &Claim,
) -> Result<ClaimedEntries, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let keeper = Caller::keeper();
    let sources: Vec<&str> = claim.sources.iter().map(AsRef::as_ref).collect();
    let targets: Vec<&str> = claim.targets.iter().map(AsRef::as_ref).collect();
    let values = [
        &sources as _,
        &targets as _,
        &i64::from(claim.limit) as _,
        &claim.worker as _,
        &span(claim.lease) as _,
    ];
    let steps =
        [Step::As(&keeper), Step::Run(&EXPIRE, &[&WORKER_ENDED]), Step::Run(&CLAIM, &values), Step::Commit];
    let answers = Session::start(pool, "claim_entries").await?.run(&steps).await?;
    let mut answers = answers.iter();
    let given_up = answers.next().map_or(&[][..], |answer| &answer.rows);
    let given_up = given_up.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let (mut entries, mut aimless) = (Vec::new(), Vec::new());
    for row in answers.next().map_or(&[][..], |answer| &answer.rows) {
        let entry = entry(row)?;
        // Without one, nothing refers to the blob: entries go with their blobs, but one that did not must not stop the others.
        match opt_digest(row, ENTRY_WIDTH + 1)? {
            Some(sha256) => entries.push(ClaimedEntry { entry, key: blob_key(row, ENTRY_WIDTH)?, sha256 }),
            None => aimless.push(entry.id),
        }
    }
    if !aimless.is_empty() {
        alone(pool, "claim_entries", &keeper, FORGET, &[&aimless]).await?;
    }
    Ok(ClaimedEntries { entries, given_up })
}

/// Lengthens a worker's claims; gives those that it still has.
pub(in crate::executor::postgres) async fn renew(
    pool: &Arc<Pool>,
    access: &Access,
    worker: Uuid,
    entries: &[Uuid],
    lease: Duration,
) -> Result<Vec<Uuid>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let values = [&entries as _, &worker as _, &span(lease) as _];
    let held = alone(pool, "renew_claims", &Caller::keeper(), RENEW, &values).await?;
    held.rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Has the segment, or the part, of an entry's blob refer to the copy, and completes the entry. A part may become a segment while
/// its upload is waited for: then it is looked for there again.
pub(in crate::executor::postgres) async fn complete(
    pool: &Arc<Pool>,
    access: &Access,
    worker: Uuid,
    claimed: &ClaimedEntry,
    copy: &BlobKey,
    keeps_source: bool,
) -> Result<bool, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    if claimed.entry.reason == QueueReason::Copy {
        return copies::complete(pool, worker, claimed, copy).await;
    }
    let (key, copied) = (claimed.key.as_str(), copy.as_str());
    let (source, target) = (claimed.entry.source.as_ref(), claimed.entry.target.as_ref());
    let size = i64::try_from(claimed.entry.size).unwrap_or(i64::MAX);
    let places = vec![blob_place(copy)];
    let flip = [&key as _, &target as _, &copied as _];
    let (there, moves) = ([&key as _, &target as _], [&key as _, &copied as _]);
    let mut session = Session::start(pool, "complete_entry").await?;
    let steps = [
        Step::As(&Caller::keeper()),
        Step::Run(LOCK, &[&places]),
        Step::Run(FLIP_SEGMENT, &flip),
        Step::Run(HOLD, &[&key]),
        Step::Run(FLIP_PART, &flip),
        Step::Run(FLIP_SEGMENT, &flip),
        Step::Run(COMPLETE, &[&claimed.entry.id, &worker, &key, &target]),
        Step::Run(copies::DROP_WAITING, &there),
        Step::Run(copies::FOLLOW_WAITING, &flip),
        Step::Run(copies::DROP_THERE, &there),
        Step::Run(copies::FOLLOW, &moves),
        Step::Run(copies::KEEP, &[&key, &source, &copied, &keeps_source]),
        Step::Run(DISCARD, &[&key, &source, &size]),
    ];
    let answers = session.run(&steps).await?;
    let changed = |at: usize| answers.get(at).map_or(0, |answer| answer.affected);
    let (flipped, completed) = (changed(1) + changed(3) + changed(4), changed(5));
    if flipped != 1 || completed != 1 {
        session.run(&[Step::Once("ROLLBACK")]).await?;
        return Ok(false);
    }
    session.run(&[Step::Commit]).await?;
    Ok(true)
}

/// Gives an entry back that was not copied, or gives it up.
pub(in crate::executor::postgres) async fn end(
    pool: &Arc<Pool>,
    access: &Access,
    worker: Uuid,
    id: Uuid,
    end: &AttemptEnd,
) -> Result<Option<QueueEntry>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let (is_given_up, may_be_last, uncounted, after, error) = match end {
        AttemptEnd::Again { after, error } => (false, true, 0_i32, Some(after), Some(error)),
        AttemptEnd::NotTried { after, error } => (false, false, 1, Some(after), error.as_ref()),
        AttemptEnd::GivenUp { error } => (true, false, 0, None, Some(error)),
    };
    let (after, error) = (after.map(|after| span(*after)), error.map(|error| words(error)));
    let values = [
        &id as _,
        &worker as _,
        &is_given_up as _,
        &may_be_last as _,
        &uncounted as _,
        &after as _,
        &error as _,
    ];
    let ended = alone(pool, "end_attempt", &Caller::keeper(), &END, &values).await?;
    ended.rows.first().map(entry).transpose()
}
