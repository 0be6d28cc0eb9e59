//! How rows of objects go away: here alone, so that no blob and no counter is forgotten.

use rusqlite::{Connection, named_params};
use uuid::Uuid;

use super::errors::Fault;
use super::history;
use super::rls::text;
use super::rows::micros;
use crate::Timestamp;
use crate::file::StorageObject;
use crate::versions::Versioning;

/// Deletes an object's row for good, whatever its bucket keeps, queues its blobs and gives back what it counted for.
pub(super) fn remove(conn: &Connection, object: &StorageObject, now: Timestamp) -> Result<(), Fault> {
    history::retire(conn, Versioning::Off, object, now)
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
