//! Reading one object: its row, its bucket, the caller's right to it and the way to its bytes, in one statement.

use std::sync::LazyLock;

use rusqlite::{Connection, Row, named_params};

use super::errors::Fault;
use super::rls::{Caller, predicate};
use super::rows::{self, BUCKET, BUCKET_WIDTH, OBJECT, OBJECT_WIDTH, SEGMENT};
use crate::bucket::BucketName;
use crate::file::{StorageObject, StoredObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, BucketGrant, Permission, RlsContext, bucket_missing};

/// The bucket's row is there also where the object's is not: it says which answer a miss gets.
fn from() -> String {
    format!(
        "FROM storage_buckets b LEFT JOIN storage_objects o \
         ON o.bucket_id = b.id AND o.path = :path AND {}",
        predicate(Permission::ObjectRead)
    )
}

static OPEN: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {BUCKET}, {OBJECT}, {SEGMENT} {} \
         LEFT JOIN storage_segments s ON s.version = o.version WHERE b.id = :bucket ORDER BY s.ordinal",
        from()
    )
});

static SHOW: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {BUCKET}, {OBJECT} {} WHERE b.id = :bucket", from()));

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
    let first = rows.next()?;
    let object = found(first, context, bucket, path)?;
    let mut segments = Vec::with_capacity(1);
    let mut next = first;
    while let Some(row) = next {
        segments.extend(rows::segment(row, BUCKET_WIDTH + OBJECT_WIDTH)?);
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
    found(rows.next()?, context, bucket, path)
}

/// The object of a row of the statements above, or the answer that a miss gets.
fn found(
    row: Option<&Row<'_>>,
    context: &RlsContext,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<StorageObject, Fault> {
    let Some(row) = row else {
        return Err(bucket_missing(context, Permission::ObjectRead, bucket).into());
    };
    if row.get_ref(BUCKET_WIDTH)? == rusqlite::types::ValueRef::Null {
        let grant = BucketGrant::of(&rows::bucket(row, 0)?, context);
        return Err(grant.missing(context, Permission::ObjectRead, bucket, path).into());
    }
    rows::object_at(row, BUCKET_WIDTH, bucket, path)
}
