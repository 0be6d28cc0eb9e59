//! How uploads and parts go away without becoming an object: here alone, so that no blob and no counter is forgotten.

use std::ops::RangeInclusive;

use rusqlite::{Connection, named_params};
use uuid::Uuid;

use super::find::any;
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::ledger::{Holder, release_unfinished};
use crate::executor::sqlite::rls::{Caller, text};
use crate::executor::sqlite::rows::{count, micros, now, opt_uuid, str, uuid};
use crate::multipart::{GoneUpload, UploadAt};
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission, RlsContext};

/// Every number that a part can have.
const ALL: RangeInclusive<u32> = 0..=u32::MAX;

/// Forgets parts and queues their blobs; gives their bytes.
pub(super) fn discard_parts(
    conn: &Connection,
    upload: Uuid,
    numbers: RangeInclusive<u32>,
    now: Timestamp,
) -> Result<u64, Fault> {
    let upload = text(upload);
    let (first, last) = (numbers.start(), numbers.end());
    conn.prepare_cached(
        "INSERT INTO blob_deletions (blob_key, provider, size, queued_at) \
         SELECT blob_key, provider, size, :now FROM multipart_parts \
         WHERE upload_id = :id AND number BETWEEN :first AND :last AND blob_key IS NOT NULL",
    )?
    .execute(named_params! { ":id": upload, ":first": first, ":last": last, ":now": micros(now) })?;
    let mut statement = conn.prepare_cached(
        "DELETE FROM multipart_parts WHERE upload_id = :id AND number BETWEEN :first AND :last RETURNING size",
    )?;
    let mut rows = statement.query(named_params! { ":id": upload, ":first": first, ":last": last })?;
    let mut bytes: u64 = 0;
    while let Some(row) = rows.next()? {
        bytes = bytes.saturating_add(count(row, 0)?);
    }
    Ok(bytes)
}

/// Gives an upload up, which need not have time any more. One that became an object is none.
pub(in crate::executor::sqlite) fn abort(
    conn: &Connection,
    access: &Access,
    at: &UploadAt,
) -> Result<(), Fault> {
    let upload = any(conn, access, at)?;
    if upload.resumable.as_ref().is_some_and(|resumable| resumable.completed_at.is_some()) {
        return Err(StorageError::UploadNotFound { upload: at.id }.into());
    }
    let holder = Holder { upload: at.id, bucket: at.bucket.as_str().to_owned(), owner: upload.owner_id };
    discard(conn, &holder, now())
}

/// Forgets an upload and all of its parts.
pub(super) fn discard(conn: &Connection, holder: &Holder, now: Timestamp) -> Result<(), Fault> {
    let freed = discard_parts(conn, holder.upload, ALL, now)?;
    release_unfinished(conn, holder, freed, now)?;
    for sql in [
        "DELETE FROM resumable_uploads WHERE upload_id = :id",
        "DELETE FROM multipart_uploads WHERE id = :id",
    ] {
        conn.prepare_cached(sql)?.execute(named_params! { ":id": text(holder.upload) })?;
    }
    Ok(())
}

/// Gives up uploads whose time is over; gives them.
pub(in crate::executor::sqlite) fn expire(
    conn: &Connection,
    access: &Access,
    limit: u32,
) -> Result<Vec<GoneUpload>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let now = now();
    let mut statement = conn.prepare_cached(
        "SELECT id, bucket_id, owner_id, path, ended FROM multipart_uploads WHERE expires_at <= :now \
         ORDER BY expires_at LIMIT :limit",
    )?;
    let mut rows = statement.query(named_params! { ":now": micros(now), ":limit": limit })?;
    let mut doomed = Vec::new();
    while let Some(row) = rows.next()? {
        doomed.push((holder(row)?, gone(row)?));
    }
    drop(rows);
    discard_all(conn, doomed, now)
}

/// Gives up to `limit` uploads of a bucket up: everybody's, or the caller's own. Of those that became objects nothing but
/// the memory goes, whosever they are. Gives them.
pub(in crate::executor::sqlite) fn of_bucket(
    conn: &Connection,
    context: &RlsContext,
    bucket: &BucketName,
    everybodys: bool,
    limit: u32,
) -> Result<Vec<GoneUpload>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT id, bucket_id, owner_id, path, ended FROM multipart_uploads WHERE bucket_id = :bucket \
         AND (:everybodys OR ended OR (role = :role AND owner_id IS :uid)) LIMIT :limit",
    )?;
    let caller = Caller::from(context);
    let mut rows = statement.query(named_params! {
        ":bucket": bucket.as_str(), ":everybodys": everybodys, ":role": caller.role, ":uid": caller.uid,
        ":limit": limit,
    })?;
    let mut doomed = Vec::new();
    while let Some(row) = rows.next()? {
        doomed.push((holder(row)?, gone(row)?));
    }
    drop(rows);
    discard_all(conn, doomed, now())
}

/// Forgets uploads; gives them.
fn discard_all(
    conn: &Connection,
    doomed: Vec<(Holder, GoneUpload)>,
    now: Timestamp,
) -> Result<Vec<GoneUpload>, Fault> {
    let forget = |(holder, gone): (Holder, GoneUpload)| discard(conn, &holder, now).map(|()| gone);
    doomed.into_iter().map(forget).collect()
}

/// Gives an upload up whose bytes are lost; `false` where it is gone already.
pub(in crate::executor::sqlite) fn lost(conn: &Connection, upload: Uuid) -> Result<bool, Fault> {
    let mut statement =
        conn.prepare_cached("SELECT id, bucket_id, owner_id FROM multipart_uploads WHERE id = :id")?;
    let mut rows = statement.query(named_params! { ":id": text(upload) })?;
    let Some(holder) = rows.next()?.map(holder).transpose()? else { return Ok(false) };
    drop(rows);
    discard(conn, &holder, now()).map(|()| true)
}

/// What is said of an upload that goes, by a row that has its path and whether it ended behind its holder's columns.
fn gone(row: &rusqlite::Row<'_>) -> Result<GoneUpload, Fault> {
    let (bucket, path) = (BucketName::parse(str(row, 1)?)?, ObjectPath::parse(str(row, 3)?)?);
    Ok(GoneUpload { at: UploadAt { bucket, path, id: uuid(row, 0)? }, ended: row.get(4)? })
}

fn holder(row: &rusqlite::Row<'_>) -> Result<Holder, Fault> {
    Ok(Holder { upload: uuid(row, 0)?, bucket: str(row, 1)?.to_owned(), owner: opt_uuid(row, 2)? })
}
