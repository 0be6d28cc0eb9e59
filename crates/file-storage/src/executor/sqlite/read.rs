//! Reading one object: its row, the caller's right to it and the way to its bytes, in one statement. Only where it finds
//! nothing, a second one reads the bucket, which decides about the answer that a miss gets.

use std::sync::LazyLock;

use rusqlite::{Connection, Row, named_params};

use super::errors::Fault;
use super::rls::{Caller, policy_failed};
use super::rows::{self, BUCKET, OBJECT, OBJECT_WIDTH, SEGMENT};
use super::rules::{RoleRules, Rules, Statement};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::file::{StorageObject, StoredObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, BucketGrant, Permission, RlsContext, bucket_missing};
use crate::versions::{VersionId, Versioning};

fn open_sql(rules: &RoleRules) -> String {
    format!(
        "SELECT {OBJECT}, {SEGMENT} FROM storage_buckets b \
         JOIN storage_objects o ON o.bucket_id = b.id AND o.path = :path \
         LEFT JOIN storage_segments s ON s.version = o.version \
         WHERE b.id = :bucket AND {} ORDER BY s.ordinal",
        rules.predicate(Permission::ObjectRead)
    )
}

fn show_sql(rules: &RoleRules) -> String {
    format!(
        "SELECT {OBJECT} FROM storage_buckets b \
         JOIN storage_objects o ON o.bucket_id = b.id AND o.path = :path WHERE b.id = :bucket AND {}",
        rules.predicate(Permission::ObjectRead)
    )
}

static BUCKET_OF_MISS: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {BUCKET} FROM storage_buckets b WHERE b.id = :bucket"));

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
    let Some(first) = seen(rows.next(), rules, context, bucket)? else {
        return Err(missing(conn, rules, context, bucket, path)?);
    };
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
    match seen(rows.next(), rules, context, bucket)? {
        Some(row) => rows::object_at(row, 0, bucket, path),
        None => Err(missing(conn, rules, context, bucket, path)?),
    }
}

/// The row, where the caller sees it. One of which a policy could not be computed is as good as invisible: another answer
/// would tell that it is there.
pub(super) fn seen<'r>(
    row: rusqlite::Result<Option<&'r Row<'r>>>,
    rules: &Rules,
    context: &RlsContext,
    bucket: &BucketName,
) -> Result<Option<&'r Row<'r>>, Fault> {
    match row.map_err(Fault::from) {
        Err(fault) if policy_failed(&fault, rules, context, Permission::ObjectRead, bucket) => Ok(None),
        row => row,
    }
}

/// The answer where a row is missing or invisible: it depends on the bucket and on policies alone, and not on rows.
pub(super) fn missing(
    conn: &Connection,
    rules: &Rules,
    context: &RlsContext,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<Fault, Fault> {
    let mut statement = conn.prepare_cached(&BUCKET_OF_MISS)?;
    let mut rows = statement.query(named_params! { ":bucket": bucket.as_str() })?;
    Ok(match rows.next()? {
        None => bucket_missing(context, Permission::ObjectRead, bucket),
        Some(row) => {
            let opened = rules.policies().opens(context.role(), Permission::ObjectRead, bucket);
            let found = rows::bucket(row, 0)?;
            let grant = BucketGrant::of(&found, context).or_rows(opened);
            let answer = grant.missing(context, Permission::ObjectRead, bucket, path);
            match found.config.versioning {
                Versioning::Off => answer,
                Versioning::Enabled | Versioning::Suspended => hidden(conn, rules, context, answer)?,
            }
        }
    }
    .into())
}

/// The answer where an object is missing because of a delete marker that the caller sees: it says so.
fn hidden(
    conn: &Connection,
    rules: &Rules,
    context: &RlsContext,
    answer: StorageError,
) -> Result<StorageError, Fault> {
    let StorageError::ObjectNotFound { bucket, path } = answer else { return Ok(answer) };
    let caller = Caller::under(rules, context);
    let mut statement = conn.prepare_cached(rules.of(context).sql(Statement::Marker, marker_sql))?;
    let mut rows = statement.query(&*caller.with(named_params! {
        ":bucket": bucket.as_str(), ":path": path.as_str(), ":role": caller.role, ":uid": caller.uid,
    }))?;
    Ok(match seen(rows.next(), rules, context, &bucket)? {
        Some(row) => {
            let marker = VersionId::of(rows::uuid(row, 0)?, row.get(1)?);
            StorageError::ObjectDeleted { bucket, path, marker }
        }
        None => StorageError::ObjectNotFound { bucket, path },
    })
}

/// The delete marker on top of a path. Where an object is that the caller does not see, there is none on top.
fn marker_sql(rules: &RoleRules) -> String {
    format!(
        "SELECT o.version, o.versioned FROM storage_buckets b JOIN storage_object_versions o \
         ON o.sequence = (SELECT sequence FROM storage_object_versions \
             WHERE bucket_id = :bucket AND path = :path ORDER BY sequence DESC LIMIT 1) \
         WHERE b.id = :bucket AND o.is_delete_marker \
         AND NOT EXISTS (SELECT 1 FROM storage_objects WHERE bucket_id = :bucket AND path = :path) AND {}",
        rules.reads_version()
    )
}
