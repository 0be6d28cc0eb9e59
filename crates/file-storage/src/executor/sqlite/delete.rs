//! Deleting objects that are named.

use rusqlite::Connection;

use super::errors::Fault;
use super::rows::now;
use super::{decide, events, removal};
use crate::bucket::BucketName;
use crate::errors::{Denial, DenialReason};
use crate::file::StorageObject;
use crate::path::ObjectPath;
use crate::permissions::{Access, BucketGrant, Permission, bucket_missing, denied};

/// Deletes one object; `None` where no row is visible.
pub(super) fn one(
    conn: &Connection,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<Option<StorageObject>, Fault> {
    let permission = Permission::ObjectDelete;
    let context = access.on_object(permission, bucket, path)?;
    let Some(target) = decide::look(conn, context, bucket, path)? else {
        return Err(bucket_missing(context, permission, bucket).into());
    };
    let refuse = |reason| {
        Err(Fault::from(denied(context, Denial { permission, bucket: Some(bucket.clone()), reason })))
    };
    match target.existing {
        Some(object) if target.deletable => {
            delete(conn, &object)?;
            Ok(Some(object))
        }
        Some(_) if target.visible => refuse(DenialReason::NotOwner),
        _ if BucketGrant::of(&target.bucket, context) == BucketGrant::Nothing => {
            refuse(DenialReason::BucketPolicy)
        }
        _ => Ok(None),
    }
}

/// Deletes those objects that the caller may delete, and gives them back.
pub(super) fn many(
    conn: &Connection,
    access: &Access,
    bucket: &BucketName,
    paths: &[ObjectPath],
) -> Result<Vec<StorageObject>, Fault> {
    let context = access.on_rows(Permission::ObjectDelete, Some(bucket))?;
    let mut deleted = Vec::new();
    for path in paths {
        let Some(target) = decide::look(conn, context, bucket, path)? else { break };
        if let (Some(object), true) = (target.existing, target.deletable) {
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
