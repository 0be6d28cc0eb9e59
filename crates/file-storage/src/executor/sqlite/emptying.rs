//! Emptying buckets of versions that are not current, a part at a time.

use rusqlite::{Connection, named_params};

use super::errors::Fault;
use super::history;
use super::rls::{Caller, refused};
use super::rows::{self, OBJECT_WIDTH, VERSION, now};
use super::rules::{RoleRules, Rules, Statement};
use crate::bucket::BucketName;
use crate::executor::Emptied;
use crate::file::StorageObject;
use crate::permissions::{Access, Permission};

pub(super) fn some_sql(rules: &RoleRules) -> String {
    format!(
        "SELECT {VERSION}, o.is_delete_marker FROM storage_buckets b CROSS JOIN storage_object_versions o \
         WHERE b.id = :bucket AND o.bucket_id = :bucket AND {} AND {} \
         ORDER BY o.path DESC, o.sequence LIMIT :limit",
        rules.reads_version(),
        rules.predicate(Permission::ObjectDelete)
    )
}

/// Deletes versions of a bucket that are not current and that the caller sees and may delete, of each path the oldest first, so
/// that none comes up that goes as well; gives them.
pub(super) fn versions(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    bucket: &BucketName,
    limit: u32,
) -> Result<Vec<Emptied>, Fault> {
    let context = access.on_rows(Permission::ObjectDelete, Some(bucket))?;
    let caller = Caller::under(rules, context);
    let mut statement = conn.prepare_cached(rules.of(context).sql(Statement::SomeVersions, some_sql))?;
    let mut rows = statement.query(&*caller.with(named_params! {
        ":bucket": bucket.as_str(), ":role": caller.role, ":uid": caller.uid, ":limit": limit,
    }))?;
    let failed =
        |error: rusqlite::Error| refused(error.into(), rules, context, Permission::ObjectDelete, bucket);
    let mut doomed = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        doomed.push((rows::object(row, 0)?, row.get(OBJECT_WIDTH)?));
    }
    drop(rows);
    let now = now();
    for (version, is_delete_marker) in &doomed {
        history::end(conn, (version, *is_delete_marker), &[], now)?;
    }
    let gone = doomed.iter().map(|(version, _)| emptied(version.clone())).collect();
    // What policies kept may be the newest now.
    doomed.dedup_by(|(one, _), (other, _)| one.path == other.path);
    for (version, _) in &doomed {
        history::promote(conn, (&version.bucket, &version.path), now)?;
    }
    Ok(gone)
}

/// What is said of an object, or of a version of one, that is gone.
pub(super) fn emptied(object: StorageObject) -> Emptied {
    Emptied { path: object.path, version: object.version, size: object.size }
}
