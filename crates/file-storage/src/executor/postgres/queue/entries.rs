//! Entries as rows: written with the blob that they are about, by the keeper, and shown and listed to the caller as such.

use std::sync::{Arc, LazyLock};

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::columns::ENTRY;
use crate::executor::displaced::{About, Displaced};
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::rls::Caller;
use crate::executor::postgres::rows::{count, int};
use crate::executor::postgres::session::read;
use crate::executor::{QueueEntry, QueueListing, QueueReason, QueueStatus};
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

/// Writes down that blobs are to be elsewhere. Times are the transaction's.
pub(in crate::executor::postgres) const ADD: &str = "INSERT INTO {schema}.upload_queue (user_id, bucket_id, file_name, mime_type, \
     storage_path, id, file_size_bytes, blob_key, source_provider, target_provider, reason, max_attempts) \
     SELECT $1, $2, $3, $4, $5, e.* FROM unnest($6::uuid[], $7::bigint[], $8::text[], $9::text[], $10::text[], \
     $11::text[], $12::integer[]) e";

/// Entries to be written, column by column.
pub(in crate::executor::postgres) struct Columns<'a> {
    user: Option<Uuid>,
    bucket: &'a str,
    name: &'a str,
    content_type: &'a str,
    path: &'a str,
    ids: Vec<Uuid>,
    sizes: Vec<i64>,
    keys: Vec<&'a str>,
    sources: Vec<&'a str>,
    targets: Vec<&'a str>,
    reasons: Vec<&'static str>,
    attempts: Vec<i32>,
}

impl<'a> Columns<'a> {
    /// Entries of blobs of one object; `None` where there is none.
    pub(in crate::executor::postgres) fn of(
        about: About<'a>,
        blobs: impl Iterator<Item = Displaced<'a>>,
    ) -> Option<Self> {
        let mut columns = Self {
            user: about.user,
            bucket: about.bucket.as_str(),
            name: about.path.file_name(),
            content_type: about.content_type,
            path: about.path.as_str(),
            ids: Vec::new(),
            sizes: Vec::new(),
            keys: Vec::new(),
            sources: Vec::new(),
            targets: Vec::new(),
            reasons: Vec::new(),
            attempts: Vec::new(),
        };
        for blob in blobs {
            columns.ids.push(blob.home.entry);
            columns.sizes.push(int(blob.size));
            columns.keys.push(blob.key.as_str());
            columns.sources.push(blob.source);
            columns.targets.push(&blob.home.provider);
            columns.reasons.push(blob.home.reason.as_str());
            columns.attempts.push(attempts(blob.home.max_attempts));
        }
        (!columns.ids.is_empty()).then_some(columns)
    }

    /// As the values of [`ADD`].
    pub(in crate::executor::postgres) fn values(&self) -> [&(dyn ToSql + Sync); 12] {
        [
            &self.user,
            &self.bucket,
            &self.name,
            &self.content_type,
            &self.path,
            &self.ids,
            &self.sizes,
            &self.keys,
            &self.sources,
            &self.targets,
            &self.reasons,
            &self.attempts,
        ]
    }
}

/// A number of attempts as the database has it: one at least.
pub(super) fn attempts(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX).max(1)
}

/// An entry, whose columns start the row.
pub(super) fn entry(row: &Row) -> Result<QueueEntry, Fault> {
    let number = |at| u32::try_from(row.try_get::<_, i32>(at)?).map_err(|_| Fault::corrupt("counter"));
    Ok(QueueEntry {
        id: row.try_get(0)?,
        user_id: row.try_get(1)?,
        bucket: BucketName::parse(row.try_get(2)?)?,
        path: ObjectPath::parse(row.try_get(3)?)?,
        size: count(row, 4)?,
        content_type: row.try_get(5)?,
        source: row.try_get::<_, &str>(6)?.into(),
        target: row.try_get::<_, &str>(7)?.into(),
        reason: QueueReason::parse(row.try_get(8)?).ok_or_else(|| Fault::corrupt("reason"))?,
        status: QueueStatus::parse(row.try_get(9)?).ok_or_else(|| Fault::corrupt("status"))?,
        attempts: number(10)?,
        max_attempts: number(11)?,
        error: row.try_get(12)?,
        next_attempt_at: row.try_get(13)?,
        queued_at: row.try_get(14)?,
        started_at: row.try_get(15)?,
        completed_at: row.try_get(16)?,
        created_at: row.try_get(17)?,
        updated_at: row.try_get(18)?,
    })
}

/// Lists: all, those of a status, of a bucket, of both. Rows of others are kept away by policies, and found by no index of theirs.
static LISTS: LazyLock<[String; 4]> = LazyLock::new(|| {
    ["", "AND u.status = $3", "AND u.bucket_id = $3", "AND u.status = $3 AND u.bucket_id = $4"].map(|wanted| {
        format!(
            "SELECT {ENTRY} FROM {{schema}}.upload_queue u WHERE u.id < $1 {wanted} ORDER BY u.id DESC LIMIT $2"
        )
    })
});

static SHOW: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {ENTRY} FROM {{schema}}.upload_queue u WHERE u.id = $1"));

/// Entries that the caller may see, the newest first.
pub(in crate::executor::postgres) async fn list(
    pool: &Arc<Pool>,
    access: &Access,
    listing: &QueueListing,
) -> Result<Vec<QueueEntry>, Fault> {
    let context = access.on_rows(Permission::QueueRead, None)?;
    let (before, limit) = (listing.before.unwrap_or(Uuid::max()), i64::from(listing.limit));
    let status = listing.status.map(QueueStatus::as_str);
    let bucket = listing.bucket.as_ref().map(BucketName::as_str);
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&before, &limit];
    let [all, of_status, of_bucket, of_both] = &*LISTS;
    let sql = match (&status, &bucket) {
        (None, None) => all,
        (Some(status), None) => {
            values.push(status);
            of_status
        }
        (None, Some(bucket)) => {
            values.push(bucket);
            of_bucket
        }
        (Some(status), Some(bucket)) => {
            values.push(status);
            values.push(bucket);
            of_both
        }
    };
    let found = read(pool, "queue_entries", &Caller::of(context), sql, &values).await?;
    found.iter().map(entry).collect()
}

/// An entry that the caller may see.
pub(in crate::executor::postgres) async fn show(
    pool: &Arc<Pool>,
    access: &Access,
    id: Uuid,
) -> Result<QueueEntry, Fault> {
    let context = access.on_rows(Permission::QueueRead, None)?;
    let found = read(pool, "queue_entry", &Caller::of(context), &SHOW, &[&id]).await?;
    match found.first() {
        Some(row) => entry(row),
        None => Err(StorageError::QueueEntryNotFound { entry: id }.into()),
    }
}
