//! How rows of objects go away: here alone, so that no blob and no counter is forgotten.

use rusqlite::{Connection, named_params};
use uuid::Uuid;

use super::errors::Fault;
use super::ledger::{Change, count_for_owner, count_in_bucket};
use super::rls::text;
use super::rows::micros;
use crate::Timestamp;
use crate::errors::StorageError;
use crate::file::StorageObject;

/// Deletes an object's row, queues its blobs and gives back what it counted for.
pub(super) fn remove(conn: &Connection, object: &StorageObject, now: Timestamp) -> Result<(), Fault> {
    discard_bytes(conn, object.version, now)?;
    let gone = conn
        .prepare_cached("DELETE FROM storage_objects WHERE bucket_id = :bucket AND path = :path")?
        .execute(named_params! { ":bucket": object.bucket.as_str(), ":path": object.path.as_str() })?;
    if gone != 1 {
        return Err(StorageError::internal("a row to be deleted was not there").into());
    }
    let change = Change { files: -1, added: 0, returned: object.size };
    count_in_bucket(conn, object.bucket.as_str(), change)?;
    count_for_owner(conn, object.owner_id, change, now)
}

/// Deletes the segments of a version and queues their blobs for deletion.
pub(super) fn discard_bytes(conn: &Connection, version: Uuid, now: Timestamp) -> Result<(), Fault> {
    let version = text(version);
    conn.prepare_cached(
        "INSERT INTO blob_deletions (blob_key, provider, size, queued_at) \
         SELECT blob_key, provider, size, :now FROM storage_segments \
         WHERE version = :version AND blob_key IS NOT NULL",
    )?
    .execute(named_params! { ":version": version, ":now": micros(now) })?;
    conn.prepare_cached("DELETE FROM storage_segments WHERE version = :version")?
        .execute(named_params! { ":version": version })?;
    Ok(())
}
