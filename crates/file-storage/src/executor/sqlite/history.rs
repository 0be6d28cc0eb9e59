//! How rows come to be versions, and how they become objects again: here alone, so that no counter is forgotten and a path
//! never has two objects. Whether the caller may is decided before.
//!
//! What holds at every path: the row of `storage_objects` is newer than all rows of `storage_object_versions`; where there
//! is none, the newest of those is a delete marker; at most one row, of either table, is the null version.

use std::sync::LazyLock;

use rusqlite::{Connection, named_params};
use uuid::Uuid;

use super::errors::Fault;
use super::events;
use super::ledger::{Change, count_for_owner, count_in_bucket};
use super::removal::discard_bytes;
use super::rls::text;
use super::rows::{self, OBJECT, micros};
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::file::StorageObject;
use crate::path::ObjectPath;
use crate::versions::{DeleteMarker, Versioning};

/// The columns that both tables have, in the order in which objects are read.
pub(super) const COLUMNS: &str = "id, bucket_id, path, size, content_type, cache_control, checksum, etag, \
     owner_id, metadata, version, created_at, updated_at, extra, versioned";

/// Keeps an object as a version, or has its bytes go, as another row takes its place. Gives the bytes that it gives back.
pub(super) fn replace(
    conn: &Connection,
    versioning: Versioning,
    old: &StorageObject,
    now: Timestamp,
) -> Result<u64, Fault> {
    if !versioning.keeps(old.versioned) {
        discard_bytes(conn, old.version, now)?;
        return Ok(old.size);
    }
    static KEEP: LazyLock<String> = LazyLock::new(|| {
        format!(
            "INSERT INTO storage_object_versions ({COLUMNS}, is_delete_marker, noncurrent_at) \
             SELECT {COLUMNS}, 0, :now FROM storage_objects WHERE bucket_id = :bucket AND path = :path"
        )
    });
    conn.prepare_cached(&KEEP)?.execute(named_params! {
        ":now": micros(now), ":bucket": old.bucket.as_str(), ":path": old.path.as_str(),
    })?;
    Ok(0)
}

/// Takes an object away: it is kept as a version, or goes.
pub(super) fn retire(
    conn: &Connection,
    versioning: Versioning,
    object: &StorageObject,
    now: Timestamp,
) -> Result<(), Fault> {
    let returned = replace(conn, versioning, object, now)?;
    let gone = conn
        .prepare_cached("DELETE FROM storage_objects WHERE bucket_id = :bucket AND path = :path")?
        .execute(named_params! { ":bucket": object.bucket.as_str(), ":path": object.path.as_str() })?;
    if gone != 1 {
        return Err(StorageError::internal("a row to be deleted was not there").into());
    }
    let change = Change { files: -1, added: 0, returned };
    count_in_bucket(conn, object.bucket.as_str(), change)?;
    count_for_owner(conn, object.owner_id, change, now)
}

/// Makes room for the null version that is about to be written at a path: the one among the versions goes. Gives its bytes.
pub(super) fn forget_null(
    conn: &Connection,
    versioning: Versioning,
    (bucket, path): (&BucketName, &ObjectPath),
    now: Timestamp,
) -> Result<u64, Fault> {
    if versioning != Versioning::Suspended {
        return Ok(0);
    }
    static FIND: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT {OBJECT} FROM storage_object_versions o \
             WHERE o.bucket_id = :bucket AND o.path = :path AND o.versioned = 0"
        )
    });
    let mut statement = conn.prepare_cached(&FIND)?;
    let mut rows = statement.query(named_params! { ":bucket": bucket.as_str(), ":path": path.as_str() })?;
    let Some(row) = rows.next()? else { return Ok(0) };
    let old = rows::object_at(row, 0, bucket, path)?;
    drop(rows);
    remove(conn, &old, now)?;
    Ok(old.size)
}

/// Deletes a version that is not the current one, for good.
pub(super) fn remove(conn: &Connection, version: &StorageObject, now: Timestamp) -> Result<(), Fault> {
    discard_bytes(conn, version.version, now)?;
    let gone = conn
        .prepare_cached("DELETE FROM storage_object_versions WHERE version = :version")?
        .execute(named_params! { ":version": text(version.version) })?;
    if gone != 1 {
        return Err(StorageError::internal("a version to be deleted was not there").into());
    }
    let change = Change { files: 0, added: 0, returned: version.size };
    count_in_bucket(conn, version.bucket.as_str(), change)?;
    count_for_owner(conn, version.owner_id, change, now)
}

/// Puts a delete marker on top of a path where no object is. It belongs to whom the object belonged.
pub(super) fn mark(
    conn: &Connection,
    marker: DeleteMarker,
    (bucket, path): (&BucketName, &ObjectPath),
    owner: Option<Uuid>,
    now: Timestamp,
) -> Result<(), Fault> {
    conn.prepare_cached(
        "INSERT INTO storage_object_versions (id, bucket_id, path, size, content_type, etag, owner_id, version, \
         created_at, updated_at, versioned, is_delete_marker, noncurrent_at) \
         VALUES (:id, :bucket, :path, 0, '', '', :owner, :version, :now, :now, :versioned, 1, :now)",
    )?
    .execute(named_params! {
        ":id": text(Uuid::now_v7()), ":bucket": bucket.as_str(), ":path": path.as_str(),
        ":owner": owner.map(text), ":version": text(marker.version), ":now": micros(now),
        ":versioned": marker.versioned,
    })?;
    Ok(())
}

/// Makes the newest version at a path the object, where there is none and it is no delete marker.
pub(super) fn promote(
    conn: &Connection,
    (bucket, path): (&BucketName, &ObjectPath),
    now: Timestamp,
) -> Result<(), Fault> {
    static NEWEST: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT {OBJECT}, o.is_delete_marker FROM storage_object_versions o \
             WHERE o.bucket_id = :bucket AND o.path = :path AND NOT EXISTS ( \
                 SELECT 1 FROM storage_objects c WHERE c.bucket_id = :bucket AND c.path = :path) \
             ORDER BY o.sequence DESC LIMIT 1"
        )
    });
    static BACK: LazyLock<String> = LazyLock::new(|| {
        format!(
            "INSERT INTO storage_objects ({COLUMNS}) \
             SELECT {COLUMNS} FROM storage_object_versions WHERE version = :version"
        )
    });
    let mut statement = conn.prepare_cached(&NEWEST)?;
    let mut rows = statement.query(named_params! { ":bucket": bucket.as_str(), ":path": path.as_str() })?;
    let Some(row) = rows.next()? else { return Ok(()) };
    if row.get(rows::OBJECT_WIDTH)? {
        return Ok(());
    }
    let object = rows::object_at(row, 0, bucket, path)?;
    drop(rows);
    let version = text(object.version);
    conn.prepare_cached(&BACK)?.execute(named_params! { ":version": version })?;
    conn.prepare_cached("DELETE FROM storage_object_versions WHERE version = :version")?
        .execute(named_params! { ":version": version })?;
    let change = Change { files: 1, added: 0, returned: 0 };
    count_in_bucket(conn, bucket.as_str(), change)?;
    count_for_owner(conn, object.owner_id, change, now)?;
    events::object(conn, "storage.object.created", &object, &[("reason", "restored")], now)
}
