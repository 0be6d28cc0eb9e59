//! Reading one object: its row, its bucket, the caller's right to it and the way to its bytes, in one statement.

use rusqlite::{Connection, Row, named_params};

use super::errors::Fault;
use super::rls::{Caller, refused};
use super::rows::{self, BUCKET, BUCKET_WIDTH, OBJECT, OBJECT_WIDTH, SEGMENT};
use super::rules::{RoleRules, Rules, Statement};
use crate::bucket::BucketName;
use crate::file::{StorageObject, StoredObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, BucketGrant, Permission, RlsContext, bucket_missing};

/// The bucket's row is there also where the object's is not: it says which answer a miss gets.
fn from(rules: &RoleRules) -> String {
    format!(
        "FROM storage_buckets b LEFT JOIN storage_objects o \
         ON o.bucket_id = b.id AND o.path = :path AND {}",
        rules.predicate(Permission::ObjectRead)
    )
}

fn open_sql(rules: &RoleRules) -> String {
    format!(
        "SELECT {BUCKET}, {OBJECT}, {SEGMENT} {} \
         LEFT JOIN storage_segments s ON s.version = o.version WHERE b.id = :bucket ORDER BY s.ordinal",
        from(rules)
    )
}

fn show_sql(rules: &RoleRules) -> String {
    format!("SELECT {BUCKET}, {OBJECT} {} WHERE b.id = :bucket", from(rules))
}

/// An object and its segments.
pub(super) fn open(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<StoredObject, Fault> {
    let context = access.on_object(Permission::ObjectRead, bucket, path)?;
    let caller = Caller::under(rules, context);
    let mut statement = conn.prepare_cached(rules.of(context).sql(Statement::Open, open_sql))?;
    let mut rows = statement.query(&*caller.with(named_params! {
        ":bucket": bucket.as_str(), ":path": path.as_str(), ":role": caller.role, ":uid": caller.uid,
    }))?;
    let first = first(rows.next(), context, bucket)?;
    let object = found(first, rules, context, bucket, path)?;
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
    rules: &Rules,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<StorageObject, Fault> {
    let context = access.on_object(Permission::ObjectRead, bucket, path)?;
    let caller = Caller::under(rules, context);
    let mut statement = conn.prepare_cached(rules.of(context).sql(Statement::Show, show_sql))?;
    let mut rows = statement.query(&*caller.with(named_params! {
        ":bucket": bucket.as_str(), ":path": path.as_str(), ":role": caller.role, ":uid": caller.uid,
    }))?;
    found(first(rows.next(), context, bucket)?, rules, context, bucket, path)
}

/// The first row, unless a policy failed on the way to it.
fn first<'r>(
    row: rusqlite::Result<Option<&'r Row<'r>>>,
    context: &RlsContext,
    bucket: &BucketName,
) -> Result<Option<&'r Row<'r>>, Fault> {
    row.map_err(|error| refused(error.into(), context, Permission::ObjectRead, bucket))
}

/// The object of a row of the statements above, or the answer that a miss gets.
fn found(
    row: Option<&Row<'_>>,
    rules: &Rules,
    context: &RlsContext,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<StorageObject, Fault> {
    let Some(row) = row else {
        return Err(bucket_missing(context, Permission::ObjectRead, bucket).into());
    };
    if row.get_ref(BUCKET_WIDTH)? == rusqlite::types::ValueRef::Null {
        let opened = rules.policies().opens(context.role(), Permission::ObjectRead, bucket);
        let grant = BucketGrant::of(&rows::bucket(row, 0)?, context).or_rows(opened);
        return Err(grant.missing(context, Permission::ObjectRead, bucket, path).into());
    }
    rows::object_at(row, BUCKET_WIDTH, bucket, path)
}
