//! Entries as rows: written with the blob that they are about, shown and listed.

use rusqlite::{Connection, Row, ToSql, named_params};
use uuid::Uuid;

use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::columns::ENTRY;
use crate::executor::displaced::{About, Displaced};
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::rls::{Caller, builtin, text};
use crate::executor::sqlite::rows::{count, int, micros, opt_uuid, str, time, uuid};
use crate::executor::{QueueEntry, QueueListing, QueueReason, QueueStatus};
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

/// Writes down that a blob is to be elsewhere.
pub(in crate::executor::sqlite) fn add(
    conn: &Connection,
    about: About<'_>,
    blob: &Displaced<'_>,
    now: Timestamp,
) -> Result<(), Fault> {
    conn.prepare_cached(
        "INSERT INTO upload_queue (id, user_id, bucket_id, file_name, file_size_bytes, mime_type, storage_path, \
         blob_key, source_provider, target_provider, reason, max_attempts, next_attempt_at, queued_at, created_at, \
         updated_at) VALUES (:id, :user, :bucket, :name, :size, :type, :path, :key, :source, :target, :reason, :most, \
         :now, :now, :now, :now)",
    )?
    .execute(named_params! {
        ":id": text(blob.home.entry), ":user": about.user.map(text), ":bucket": about.bucket.as_str(),
        ":name": about.path.file_name(), ":size": int(blob.size), ":type": about.content_type,
        ":path": about.path.as_str(), ":key": blob.key.as_str(), ":source": blob.source,
        ":target": blob.home.provider.as_ref(), ":reason": blob.home.reason.as_str(),
        ":most": blob.home.max_attempts.max(1), ":now": micros(now),
    })?;
    Ok(())
}

/// An entry, whose columns start the row.
pub(super) fn entry(row: &Row<'_>) -> Result<QueueEntry, Fault> {
    let opt_time = |at| match row.get::<_, Option<i64>>(at)? {
        Some(_) => time(row, at).map(Some),
        None => Ok(None),
    };
    Ok(QueueEntry {
        id: uuid(row, 0)?,
        user_id: opt_uuid(row, 1)?,
        bucket: BucketName::parse(str(row, 2)?)?,
        path: ObjectPath::parse(str(row, 3)?)?,
        size: count(row, 4)?,
        content_type: row.get(5)?,
        source: str(row, 6)?.into(),
        target: str(row, 7)?.into(),
        reason: QueueReason::parse(str(row, 8)?).ok_or_else(|| Fault::corrupt("reason"))?,
        status: QueueStatus::parse(str(row, 9)?).ok_or_else(|| Fault::corrupt("status"))?,
        attempts: row.get(10)?,
        max_attempts: row.get(11)?,
        error: row.get(12)?,
        next_attempt_at: time(row, 13)?,
        queued_at: time(row, 14)?,
        started_at: opt_time(15)?,
        completed_at: opt_time(16)?,
        created_at: time(row, 17)?,
        updated_at: time(row, 18)?,
    })
}

/// Entries that the caller may see, the newest first.
pub(in crate::executor::sqlite) fn list(
    conn: &Connection,
    access: &Access,
    listing: &QueueListing,
) -> Result<Vec<QueueEntry>, Fault> {
    let context = access.on_rows(Permission::QueueRead, None)?;
    let caller = Caller::from(context);
    let mut statement = conn.prepare_cached(&list_sql(context.is_service(), listing))?;
    // Above all that an identity can be.
    let before = listing.before.map_or_else(|| "~".to_owned(), text);
    let status = listing.status.map(QueueStatus::as_str);
    let bucket = listing.bucket.as_ref().map(BucketName::as_str);
    let mut values: Vec<(&str, &dyn ToSql)> = vec![
        (":before", &before),
        (":limit", &listing.limit),
        (":role", &caller.role),
        (":uid", &caller.uid),
    ];
    if status.is_some() {
        values.push((":status", &status));
    }
    if bucket.is_some() {
        values.push((":bucket", &bucket));
    }
    let mut rows = statement.query(values.as_slice())?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(entry(row)?);
    }
    Ok(entries)
}

/// The statement of a list. Whoever sees no more than their own asks for it by an index.
pub(in crate::executor::sqlite) fn list_sql(sees_all: bool, listing: &QueueListing) -> String {
    let own = if sees_all { "" } else { "u.user_id = :uid AND " };
    let status = listing.status.map_or("", |_| "u.status = :status AND ");
    let bucket = listing.bucket.as_ref().map_or("", |_| "u.bucket_id = :bucket AND ");
    format!(
        "SELECT {ENTRY} FROM upload_queue u WHERE {own}{status}{bucket}u.id < :before AND {} \
         ORDER BY u.id DESC LIMIT :limit",
        builtin(Permission::QueueRead)
    )
}

/// An entry that the caller may see.
pub(in crate::executor::sqlite) fn show(
    conn: &Connection,
    access: &Access,
    id: Uuid,
) -> Result<QueueEntry, Fault> {
    let caller = Caller::from(access.on_rows(Permission::QueueRead, None)?);
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {ENTRY} FROM upload_queue u WHERE u.id = :id AND {}",
        builtin(Permission::QueueRead)
    ))?;
    let mut rows =
        statement.query(named_params! { ":id": text(id), ":role": caller.role, ":uid": caller.uid })?;
    match rows.next()? {
        Some(row) => entry(row),
        None => Err(StorageError::QueueEntryNotFound { entry: id }.into()),
    }
}
