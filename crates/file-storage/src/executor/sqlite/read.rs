//! Reading one object: its row, the caller's right to it and the way to its bytes, in one statement. Only where it finds
//! nothing, a second one reads the bucket, which decides about the answer that a miss gets.

use std::sync::LazyLock;

use rusqlite::{Connection, named_params};

use super::errors::Fault;
use super::rls::{Caller, predicate};
use super::rows::{self, BUCKET, OBJECT, OBJECT_WIDTH, SEGMENT};
use crate::bucket::BucketName;
use crate::file::{StorageObject, StoredObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, BucketGrant, Permission, RlsContext, bucket_missing};

static OPEN: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {OBJECT}, {SEGMENT} FROM storage_buckets b \
         JOIN storage_objects o ON o.bucket_id = b.id AND o.path = :path \
         LEFT JOIN storage_segments s ON s.version = o.version \
         WHERE b.id = :bucket AND {} ORDER BY s.ordinal",
        predicate(Permission::ObjectRead)
    )
});

static SHOW: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {OBJECT} FROM storage_buckets b \
         JOIN storage_objects o ON o.bucket_id = b.id AND o.path = :path WHERE b.id = :bucket AND {}",
        predicate(Permission::ObjectRead)
    )
});

static BUCKET_OF_MISS: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {BUCKET} FROM storage_buckets b WHERE b.id = :bucket"));

/// An object and its segments.
pub(super) fn open(
    conn: &Connection,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<StoredObject, Fault> {
    let context = access.on_object(Permission::ObjectRead, bucket, path)?;
    let caller = Caller::from(context);
    let mut statement = conn.prepare_cached(&OPEN)?;
    let mut rows = statement.query(named_params! {
        ":bucket": bucket.as_str(), ":path": path.as_str(), ":role": caller.role, ":uid": caller.uid,
    })?;
    let Some(first) = rows.next()? else { return Err(missing(conn, context, bucket, path)?) };
    let object = rows::object_at(first, 0, bucket, path)?;
    let mut segments = Vec::with_capacity(1);
    let mut next = Some(first);
    while let Some(row) = next {
        segments.extend(rows::segment(row, OBJECT_WIDTH)?);
        next = rows.next()?;
    }
    Ok(StoredObject { object, segments })
}

/// An object's row.
pub(super) fn show(
    conn: &Connection,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<StorageObject, Fault> {
    let context = access.on_object(Permission::ObjectRead, bucket, path)?;
    let caller = Caller::from(context);
    let mut statement = conn.prepare_cached(&SHOW)?;
    let mut rows = statement.query(named_params! {
        ":bucket": bucket.as_str(), ":path": path.as_str(), ":role": caller.role, ":uid": caller.uid,
    })?;
    match rows.next()? {
        Some(row) => rows::object_at(row, 0, bucket, path),
        None => Err(missing(conn, context, bucket, path)?),
    }
}

/// The answer where a row is missing or invisible: it depends on the bucket alone, and not on rows in it.
fn missing(
    conn: &Connection,
    context: &RlsContext,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<Fault, Fault> {
    let mut statement = conn.prepare_cached(&BUCKET_OF_MISS)?;
    let mut rows = statement.query(named_params! { ":bucket": bucket.as_str() })?;
    Ok(match rows.next()? {
        None => bucket_missing(context, Permission::ObjectRead, bucket),
        Some(row) => {
            let grant = BucketGrant::of(&rows::bucket(row, 0)?, context);
            grant.missing(context, Permission::ObjectRead, bucket, path)
        }
    }
    .into())
}
