//! What the server's upkeep asks and changes, as the keeper: queued and lost blobs, used nonces, the length of backlogs.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::decide::{AWAIT, blob_hold_place, blob_place, orphan_job_place};
use super::errors::Fault;
use super::multipart;
use super::pool::Pool;
use super::rls::Caller;
use super::rows::{blob_key, count, now};
use super::session::{Answer, Session, Step, alone, read};
use super::versions::PROMOTE;
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::executor::{Backlog, QueuedBlob, SegmentBlob, Turn};
use crate::file::BlobKey;
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

/// How long a nonce is remembered after its token has died.
const REMEMBERED: chrono::TimeDelta = chrono::TimeDelta::hours(1);

/// Takes blobs whose turn has come, but those that another process is at. A claim ends by itself, as a process may: two
/// that delete the same blob waste their time and do no harm. None while a backup holds them.
///
/// IMPORTANT: a backup takes its lock before it reads a row, and this asks for the lock after the statement's view of the rows
/// was taken. So what is claimed all the same was queued before the backup began, and no row that it reads names it.
const CLAIM: &str = "WITH free AS MATERIALIZED (SELECT pg_try_advisory_xact_lock_shared($4) AS free), \
    due AS ( \
        SELECT blob_key FROM {schema}.blob_deletions \
        WHERE (SELECT free FROM free) AND queued_at <= coalesce($1, now()) \
        AND (claimed_by IS NULL OR claimed_by = $2 OR claimed_until < now()) \
        ORDER BY attempts, queued_at, blob_key LIMIT $3 FOR UPDATE SKIP LOCKED), \
    claimed AS ( \
        UPDATE {schema}.blob_deletions d SET claimed_by = $2, claimed_until = now() + interval '30 seconds' \
        FROM due WHERE d.blob_key = due.blob_key \
        RETURNING d.provider, d.blob_key, d.attempts, d.queued_at) \
    SELECT provider, blob_key, attempts FROM claimed ORDER BY attempts, queued_at, blob_key";

const FORGET: &str = "DELETE FROM {schema}.blob_deletions WHERE blob_key = ANY ($1::text[])";

const RETRY: &str =
    "UPDATE {schema}.blob_deletions SET attempts = attempts + 1 WHERE blob_key = ANY ($1::text[])";

const KNOWN: &str = "SELECT key FROM unnest($1::text[]) key WHERE \
     EXISTS (SELECT 1 FROM {schema}.storage_segments s WHERE s.blob_key = key) \
     OR EXISTS (SELECT 1 FROM {schema}.multipart_parts p WHERE p.blob_key = key) \
     OR EXISTS (SELECT 1 FROM {schema}.blob_copies c WHERE c.copy_key = key) \
     OR EXISTS (SELECT 1 FROM {schema}.blob_deletions d WHERE d.blob_key = key)";

const SEGMENTS: &str = "(SELECT s.blob_key, s.size, s.version, coalesce(o.bucket_id, v.bucket_id), \
     coalesce(o.path, v.path) FROM {schema}.storage_segments s \
     LEFT JOIN {schema}.storage_objects o ON o.version = s.version \
     LEFT JOIN {schema}.storage_object_versions v ON v.version = s.version \
     WHERE s.blob_key > $1 AND s.provider = $2 ORDER BY s.blob_key LIMIT $3) \
     UNION ALL (SELECT p.blob_key, p.size, m.id, m.bucket_id, m.path \
     FROM {schema}.multipart_parts p JOIN {schema}.multipart_uploads m ON m.id = p.upload_id \
     WHERE p.blob_key > $1 AND p.provider = $2 ORDER BY p.blob_key LIMIT $3) \
     ORDER BY 1 LIMIT $3";

const LOST: &str =
    "SELECT set_config('aerostore.reason', 'lost', true), set_config('aerostore.for_good', 'on', true)";

/// Whether a blob is of a version still. What replaces it waits.
const IS_OF_VERSION: &str =
    "SELECT 1 FROM {schema}.storage_segments WHERE blob_key = $1 AND version = $2 FOR UPDATE";

const DELETE_LOST: &str = "WITH lost AS ( \
         DELETE FROM {schema}.storage_objects WHERE version = $1 RETURNING bucket_id, path), \
     old AS (DELETE FROM {schema}.storage_object_versions WHERE version = $1 RETURNING bucket_id, path) \
     SELECT * FROM lost UNION ALL SELECT * FROM old";

const FORGET_NONCES: &str = "DELETE FROM {schema}.used_nonces WHERE nonce IN \
     (SELECT nonce FROM {schema}.used_nonces WHERE expires_at < $1 ORDER BY expires_at LIMIT 10 \
     FOR UPDATE SKIP LOCKED)";

const USE_NONCE: &str =
    "INSERT INTO {schema}.used_nonces (nonce, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";

const GIVE_BACK_NONCE: &str = "DELETE FROM {schema}.used_nonces WHERE nonce = $1";

const NONCE_IS_USED: &str = "SELECT 1 FROM {schema}.used_nonces WHERE nonce = $1";

/// A transaction that may last as long as a job does. It looks at nothing, and keeps no row from being vacuumed. The
/// server notices within a minute where the network took away whose turn it is.
pub(super) const BEGIN_TURN: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0; \
     SET LOCAL tcp_keepalives_idle = 30; SET LOCAL tcp_keepalives_interval = 10; SET LOCAL tcp_keepalives_count = 3";

pub(super) const TAKE_TURN: &str = "SELECT pg_try_advisory_xact_lock($1)";

const BACKLOG: &str = "SELECT (SELECT count(*) FROM {schema}.blob_deletions), \
     coalesce(sum(file_count), 0)::bigint, count(*), \
     (SELECT min(queued_at) FROM {schema}.blob_deletions) FROM {schema}.storage_buckets";

/// Whether the tables are there.
const PING: &str = "SELECT count(*) FROM {schema}.storage_buckets WHERE id = ''";

/// Blobs whose turn to be deleted has come: those that failed least often first.
pub(super) async fn due(
    pool: &Arc<Pool>,
    instance: Uuid,
    access: &Access,
    older_than: Duration,
    limit: u32,
) -> Result<Vec<QueuedBlob>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    // The queue's times are the database's. Without an age, clocks need not agree.
    let before = match older_than {
        Duration::ZERO => None,
        age => {
            let age = chrono::TimeDelta::from_std(age).unwrap_or(chrono::TimeDelta::MAX);
            Some(now().checked_sub_signed(age).unwrap_or(Timestamp::UNIX_EPOCH))
        }
    };
    let hold = blob_hold_place(pool.schema());
    let values = [&before as _, &instance as _, &i64::from(limit) as _, &hold as _];
    let claimed = alone(pool, "due_deletions", &Caller::keeper(), CLAIM, &values).await?;
    let blob = |row: &tokio_postgres::Row| {
        Ok(QueuedBlob {
            provider: row.try_get(0)?,
            key: blob_key(row, 1)?,
            attempts: u32::try_from(row.try_get::<_, i32>(2)?).unwrap_or(0),
        })
    };
    claimed.rows.iter().map(blob).collect()
}

/// Forgets blobs that are deleted, and counts an attempt for those that are not.
pub(super) async fn finish(
    pool: &Arc<Pool>,
    access: &Access,
    deleted: &[BlobKey],
    failed: &[BlobKey],
) -> Result<(), Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let (deleted, failed) = (names(deleted), names(failed));
    let keeper = Caller::keeper();
    let steps =
        [Step::As(&keeper), Step::Run(FORGET, &[&deleted]), Step::Run(RETRY, &[&failed]), Step::Commit];
    Session::start(pool, "finish_deletions").await?.run(&steps).await.map(drop)
}

/// Which blobs are part of an object or queued for deletion. Waits for transactions that are about to make one known.
pub(super) async fn known(
    pool: &Arc<Pool>,
    access: &Access,
    keys: &[BlobKey],
) -> Result<Vec<BlobKey>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut places: Vec<i64> = keys.iter().map(blob_place).collect();
    places.sort_unstable();
    let names = names(keys);
    let keeper = Caller::keeper();
    let steps = [Step::As(&keeper), Step::Run(AWAIT, &[&places]), Step::Run(KNOWN, &[&names]), Step::Commit];
    let answers = Session::start(pool, "known_blobs").await?.run(&steps).await?;
    answers.last().map_or(&[][..], |Answer { rows, .. }| rows).iter().map(|row| blob_key(row, 0)).collect()
}

fn names(keys: &[BlobKey]) -> Vec<&str> {
    keys.iter().map(BlobKey::as_str).collect()
}

/// Blobs that objects are made of, in the order of their keys.
pub(super) async fn segment_blobs(
    pool: &Arc<Pool>,
    access: &Access,
    provider: &str,
    after: Option<&BlobKey>,
    limit: u32,
) -> Result<Vec<SegmentBlob>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let values = [&after.map_or("", BlobKey::as_str) as _, &provider as _, &i64::from(limit) as _];
    let found = read(pool, "segment_blobs", &Caller::keeper(), SEGMENTS, &values).await?;
    let blob = |row: &tokio_postgres::Row| {
        Ok(SegmentBlob {
            key: blob_key(row, 0)?,
            size: count(row, 1)?,
            version: row.try_get(2)?,
            bucket: BucketName::parse(row.try_get(3)?)?,
            path: ObjectPath::parse(row.try_get(4)?)?,
        })
    };
    found.iter().map(blob).collect()
}

/// Deletes the object of a version whose bytes are lost.
pub(super) async fn delete_lost(
    pool: &Arc<Pool>,
    access: &Access,
    lost: &SegmentBlob,
) -> Result<bool, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let (keeper, key) = (Caller::keeper(), lost.key.as_str());
    let mut session = Session::start(pool, "delete_lost_object").await?;
    let asked = session
        .run(&[Step::As(&keeper), Step::Run(LOST, &[]), Step::Run(IS_OF_VERSION, &[&key, &lost.version])])
        .await?;
    if asked.last().is_none_or(|answer| answer.rows.is_empty()) {
        session.run(&[Step::Commit]).await?;
        drop(session);
        return multipart::lost(pool, lost.version, &lost.key).await;
    }
    let answers = session.run(&[Step::Run(DELETE_LOST, &[&lost.version])]).await?;
    let gone = answers.last().and_then(|answer| answer.rows.first());
    if let Some(row) = gone {
        let (bucket, path): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        session.run(&[Step::Run(PROMOTE, &[&bucket, &path])]).await?;
    }
    session.run(&[Step::Commit]).await?;
    Ok(gone.is_some())
}

/// Uses a nonce up; `false` where it was before. Also forgets some that are long dead.
pub(super) async fn consume_nonce(
    pool: &Arc<Pool>,
    nonce: Uuid,
    expires_at: Timestamp,
) -> Result<bool, Fault> {
    let dead = now().checked_sub_signed(REMEMBERED).unwrap_or(Timestamp::UNIX_EPOCH);
    let keeper = Caller::keeper();
    let steps = [
        Step::As(&keeper),
        Step::Run(FORGET_NONCES, &[&dead]),
        Step::Run(USE_NONCE, &[&nonce, &expires_at]),
        Step::Commit,
    ];
    let answers = Session::start(pool, "consume_nonce").await?.run(&steps).await?;
    Ok(answers.last().is_some_and(|answer| answer.affected == 1))
}

/// Makes a nonce good again.
pub(super) async fn give_back_nonce(pool: &Arc<Pool>, nonce: Uuid) -> Result<(), Fault> {
    alone(pool, "give_back_nonce", &Caller::keeper(), GIVE_BACK_NONCE, &[&nonce]).await.map(drop)
}

/// Whether a nonce was used up.
pub(super) async fn is_nonce_used(pool: &Arc<Pool>, nonce: Uuid) -> Result<bool, Fault> {
    let found = read(pool, "is_nonce_used", &Caller::keeper(), NONCE_IS_USED, &[&nonce]).await?;
    Ok(!found.is_empty())
}

/// Leave to run the orphan job: a lock on a connection of its own, with which it goes. It is a transaction's and not the
/// session's, as a pooler between us and the server hands sessions on.
pub(super) async fn orphan_job_turn(pool: &Arc<Pool>, access: &Access) -> Result<Option<Turn>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let client = pool.unpooled().await?;
    client.batch_execute(BEGIN_TURN).await?;
    let taken: bool = client.query_one(TAKE_TURN, &[&orphan_job_place(pool.schema())]).await?.try_get(0)?;
    Ok(taken.then(|| Turn::holding(client)))
}

/// How much there is to do.
pub(super) async fn backlog(pool: &Arc<Pool>, access: &Access) -> Result<Backlog, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let found = read(pool, "backlog", &Caller::keeper(), BACKLOG, &[]).await?;
    let Some(row) = found.first() else { return Ok(Backlog::default()) };
    Ok(Backlog {
        pending_deletions: count(row, 0)?,
        objects: count(row, 1)?,
        buckets: count(row, 2)?,
        oldest_deletion: row.try_get(3)?,
    })
}

/// Whether the database answers.
pub(super) async fn ping(pool: &Arc<Pool>) -> Result<(), Fault> {
    read(pool, "ping", &Caller::keeper(), PING, &[]).await.map(drop)
}
