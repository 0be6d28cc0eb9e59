//! Deleting objects that are named.

use rusqlite::Connection;

use super::decide::look;
use super::errors::Fault;
use super::rows::now;
use super::rules::Rules;
use super::{events, removal};
use crate::bucket::BucketName;
use crate::executor::decide;
use crate::executor::proposal::Purpose;
use crate::file::StorageObject;
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

/// Deletes one object; `None` where no row is visible.
pub(super) fn one(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<Option<StorageObject>, Fault> {
    let context = access.on_object(Permission::ObjectDelete, bucket, path)?;
    let seen = look(conn, rules, context, Purpose::Remove, (bucket, path))?;
    let doomed = decide::delete(access, (bucket, path), seen.map(|seen| seen.target))?;
    if let Some(object) = &doomed {
        delete(conn, object)?;
    }
    Ok(doomed)
}

/// Deletes those objects that the caller may delete, and gives them back.
pub(super) fn many(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    bucket: &BucketName,
    paths: &[ObjectPath],
) -> Result<Vec<StorageObject>, Fault> {
    let context = access.on_rows(Permission::ObjectDelete, Some(bucket))?;
    let mut deleted = Vec::new();
    for path in paths {
        let Some(seen) = look(conn, rules, context, Purpose::Remove, (bucket, path))? else { break };
        if let (Some(object), true) = (seen.target.existing, seen.target.deletable) {
            delete(conn, &object)?;
            deleted.push(object);
        }
    }
    Ok(deleted)
}

fn delete(conn: &Connection, object: &StorageObject) -> Result<(), Fault> {
    let now = now();
    removal::remove(conn, object, now)?;
    events::object(conn, "storage.object.deleted", object, &[], now)
}
