//! What operators do: entries queued again and given up, how many wait, and those forgotten that are long done.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::entries::entry;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::columns::ENTRY;
use crate::executor::displaced::{CANCELLED, span};
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::rls::Caller;
use crate::executor::postgres::rows::count;
use crate::executor::postgres::session::{alone, read};
use crate::executor::{QueueDepth, QueueEntry, QueueReason, QueueStatus};
use crate::permissions::{Access, Permission};

static RETRY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE {{schema}}.upload_queue u SET \
         queued_at = CASE WHEN u.status = 'failed' THEN now() ELSE u.queued_at END, \
         attempt_count = CASE WHEN u.status = 'failed' THEN 0 ELSE u.attempt_count END, \
         next_attempt_at = CASE WHEN u.status = 'failed' THEN now() ELSE least(u.next_attempt_at, now()) END, \
         completed_at = NULL, status = CASE WHEN u.status = 'failed' THEN 'pending' ELSE u.status END \
         WHERE u.id = $1 AND u.status <> 'completed' RETURNING {ENTRY}"
    )
});

static CANCEL: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE {{schema}}.upload_queue u SET \
         error_message = CASE WHEN u.status = 'failed' THEN u.error_message ELSE $2 END, \
         completed_at = coalesce(u.completed_at, now()), leased_by = NULL, leased_until = NULL, status = 'failed' \
         WHERE u.id = $1 AND u.status <> 'completed' RETURNING {ENTRY}"
    )
});

const IS_THERE: &str = "SELECT FROM {schema}.upload_queue WHERE id = $1";

const RETRY_FAILED: &str = "UPDATE {schema}.upload_queue SET status = 'pending', attempt_count = 0, completed_at = NULL, \
     queued_at = now(), next_attempt_at = now() WHERE id = ANY (ARRAY(SELECT id FROM {schema}.upload_queue \
         WHERE status = 'failed' ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED))";

const DEPTHS: &str = "SELECT source_provider, target_provider, status, reason, count(*), sum(file_size_bytes)::bigint, \
     min(queued_at) FROM {schema}.upload_queue WHERE status IN ('pending', 'in_progress', 'failed') \
     AND ($1::text IS NULL OR bucket_id = $1) GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4";

const FORGET: &str = "DELETE FROM {schema}.upload_queue WHERE id = ANY (ARRAY(SELECT id FROM {schema}.upload_queue \
     WHERE status = 'completed' AND completed_at <= now() - $1::bigint * interval '1 microsecond' \
     ORDER BY completed_at LIMIT $2 FOR UPDATE SKIP LOCKED))";

/// Queues an entry again that was given up; one that waits has its turn now, and one that is being copied goes on.
pub(in crate::executor::postgres) async fn retry(
    pool: &Arc<Pool>,
    access: &Access,
    id: Uuid,
) -> Result<QueueEntry, Fault> {
    change(pool, access, id, &RETRY, &[&id]).await
}

/// Gives an entry up that is not at its end. Who has a claim on it has it no more.
pub(in crate::executor::postgres) async fn cancel(
    pool: &Arc<Pool>,
    access: &Access,
    id: Uuid,
) -> Result<QueueEntry, Fault> {
    change(pool, access, id, &CANCEL, &[&id, &CANCELLED]).await
}

/// Changes an entry that is not completed.
async fn change(
    pool: &Arc<Pool>,
    access: &Access,
    id: Uuid,
    sql: &'static str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<QueueEntry, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let keeper = Caller::keeper();
    let changed = alone(pool, "change_entry", &keeper, sql, values).await?;
    if let Some(row) = changed.rows.first() {
        return entry(row);
    }
    let there = read(pool, "change_entry", &keeper, IS_THERE, &[&id]).await?;
    Err(if there.is_empty() {
        StorageError::QueueEntryNotFound { entry: id }.into()
    } else {
        StorageError::QueueEntryEnded { entry: id }.into()
    })
}

/// Queues entries again that were given up, the oldest first; gives their number.
pub(in crate::executor::postgres) async fn retry_failed(
    pool: &Arc<Pool>,
    access: &Access,
    limit: u32,
) -> Result<u64, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let values = [&i64::from(limit) as _];
    Ok(alone(pool, "retry_failed", &Caller::keeper(), RETRY_FAILED, &values).await?.affected)
}

/// Entries that are not completed, counted; of a bucket, or of all.
pub(in crate::executor::postgres) async fn depths(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: Option<&BucketName>,
) -> Result<Vec<QueueDepth>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let bucket = bucket.map(BucketName::as_str);
    let found = read(pool, "queue_depths", &Caller::keeper(), DEPTHS, &[&bucket]).await?;
    let depth = |row: &tokio_postgres::Row| {
        Ok(QueueDepth {
            source: row.try_get::<_, &str>(0)?.into(),
            target: row.try_get::<_, &str>(1)?.into(),
            status: QueueStatus::parse(row.try_get(2)?).ok_or_else(|| Fault::corrupt("status"))?,
            reason: QueueReason::parse(row.try_get(3)?).ok_or_else(|| Fault::corrupt("reason"))?,
            entries: count(row, 4)?,
            bytes: count(row, 5)?,
            oldest: row.try_get(6)?,
        })
    };
    found.iter().map(depth).collect()
}

/// Forgets entries that were completed at least so long ago; gives their number.
pub(in crate::executor::postgres) async fn forget(
    pool: &Arc<Pool>,
    access: &Access,
    older_than: Duration,
    limit: u32,
) -> Result<u64, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let values = [&span(older_than) as _, &i64::from(limit) as _];
    Ok(alone(pool, "forget_completed", &Caller::keeper(), FORGET, &values).await?.affected)
}
