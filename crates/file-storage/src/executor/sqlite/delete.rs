//! Deleting objects that are named.

use rusqlite::Connection;
use uuid::Uuid;

use super::decide::look;
use super::errors::Fault;
use super::rows::now;
use super::rules::Rules;
use super::{events, history};
use crate::bucket::BucketName;
use crate::executor::decide;
use crate::executor::decide::Target;
use crate::executor::proposal::Purpose;
use crate::file::StorageObject;
use crate::path::ObjectPath;
use crate::permissions::{Access, BucketGrant, Permission, RlsContext};
use crate::versions::{DeleteMarker, Deletion, Versioning};

/// Deletes one object, or puts a delete marker on top of it.
pub(super) fn one(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<Deletion, Fault> {
    let context = access.on_object(Permission::ObjectDelete, bucket, path)?;
    let seen = look(conn, rules, context, Purpose::Remove, (bucket, path))?;
    let target = seen.map(|seen| seen.target);
    let (versioning, may_mark) = marking(target.as_ref(), context);
    let object = decide::delete(access, (bucket, path), target)?;
    let marker = match &object {
        Some(object) => delete(conn, versioning, object)?,
        None if may_mark => Some(mark(conn, versioning, context, (bucket, path))?),
        None => None,
    };
    Ok(Deletion { path: path.clone(), object, marker })
}

/// What the bucket keeps; and whether the caller may put a delete marker where nothing is: to whom the whole bucket is open.
fn marking(target: Option<&Target>, context: &RlsContext) -> (Versioning, bool) {
    let Some(target) = target else { return (Versioning::Off, false) };
    let versioning = target.bucket.config.versioning;
    let all = BucketGrant::of(&target.bucket, context) == BucketGrant::All;
    (versioning, versioning != Versioning::Off && all && target.existing.is_none())
}

/// Deletes those objects that the caller may delete, and gives them back.
pub(super) fn many(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    bucket: &BucketName,
    paths: &[ObjectPath],
) -> Result<Vec<Deletion>, Fault> {
    let context = access.on_rows(Permission::ObjectDelete, Some(bucket))?;
    let mut deleted = Vec::new();
    for path in paths {
        let Some(seen) = look(conn, rules, context, Purpose::Remove, (bucket, path))? else { break };
        let (versioning, may_mark) = marking(Some(&seen.target), context);
        let (object, marker) = match seen.target.existing {
            Some(object) if seen.target.deletable => {
                let marker = delete(conn, versioning, &object)?;
                (Some(object), marker)
            }
            None if may_mark => (None, Some(mark(conn, versioning, context, (bucket, path))?)),
            Some(_) | None => continue,
        };
        deleted.push(Deletion { path: path.clone(), object, marker });
    }
    Ok(deleted)
}

fn delete(
    conn: &Connection,
    versioning: Versioning,
    object: &StorageObject,
) -> Result<Option<DeleteMarker>, Fault> {
    let (now, at) = (now(), (&object.bucket, &object.path));
    let marker = DeleteMarker::over(object.version, versioning);
    history::forget_null(conn, versioning, at, now)?;
    history::retire(conn, versioning, object, now)?;
    let Some(marker) = marker else {
        events::object(conn, "storage.object.deleted", object, &[], now)?;
        return Ok(None);
    };
    history::mark(conn, marker, at, object.owner_id, now)?;
    let told = marker.id().to_string();
    events::object(conn, "storage.object.deleted", object, &[("delete_marker", &told)], now)?;
    Ok(Some(marker))
}

/// Puts a delete marker where no object is.
fn mark(
    conn: &Connection,
    versioning: Versioning,
    context: &RlsContext,
    at: (&BucketName, &ObjectPath),
) -> Result<DeleteMarker, Fault> {
    let now = now();
    let marker = DeleteMarker { version: Uuid::now_v7(), versioned: versioning.makes_versions() };
    history::forget_null(conn, versioning, at, now)?;
    history::mark(conn, marker, at, context.user_id(), now)?;
    Ok(marker)
}
