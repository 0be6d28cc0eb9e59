//! Deleting objects that are named.

use std::collections::HashSet;

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
use crate::file::{ETags, StorageObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, BucketGrant, Permission, RlsContext};
use crate::versions::{DeleteMarker, Deletion, Versioning};

/// Deletes one object, or puts a delete marker on top of it.
pub(super) fn one(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    (bucket, path): (&BucketName, &ObjectPath),
    condition: Option<&ETags>,
) -> Result<Deletion, Fault> {
    let context = access.on_object(Permission::ObjectDelete, bucket, path)?;
    let seen = look(conn, rules, context, Purpose::Remove, (bucket, path))?;
    let target = seen.map(|seen| seen.target);
    let (versioning, may_mark) = marking(target.as_ref(), rules, context);
    let object = decide::delete(access, (bucket, path), target)?;
    decide::matches(condition, (bucket, path), object.as_ref())?;
    let marker = match &object {
        Some(object) => delete(conn, (rules, context), versioning, object, &[])?,
        None if may_mark => Some(mark(conn, (rules, context), versioning, (bucket, path))?),
        None => None,
    };
    Ok(Deletion { path: path.clone(), object, marker })
}

/// What the bucket keeps; and whether the caller may put a delete marker where nothing is: to whom the whole bucket is open. Not
/// where policies may hide rows from him: what is hidden gets no marker, and what is missing must not tell itself from that.
fn marking(target: Option<&Target>, rules: &Rules, context: &RlsContext) -> (Versioning, bool) {
    let Some(target) = target else { return (Versioning::Off, false) };
    let versioning = target.bucket.config.versioning;
    let all = BucketGrant::of(&target.bucket, context) == BucketGrant::All;
    let sees_all = all && !rules.policies().hides(context.role());
    (versioning, versioning != Versioning::Off && sees_all && target.existing.is_none())
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
    let mut named = HashSet::with_capacity(paths.len());
    // Who names a path twice means it once.
    for path in paths.iter().filter(|path| named.insert(*path)) {
        let Some(seen) = look(conn, rules, context, Purpose::Remove, (bucket, path))? else { break };
        let (versioning, may_mark) = marking(Some(&seen.target), rules, context);
        let (object, marker) = match seen.target.existing {
            Some(object) if seen.target.deletable => {
                let marker = delete(conn, (rules, context), versioning, &object, &[])?;
                (Some(object), marker)
            }
            None if may_mark => (None, Some(mark(conn, (rules, context), versioning, (bucket, path))?)),
            Some(_) | None => continue,
        };
        deleted.push(Deletion { path: path.clone(), object, marker });
    }
    Ok(deleted)
}

/// Deletes an object, or puts a delete marker on top of it. `told` is what else is said of it.
pub(super) fn delete(
    conn: &Connection,
    asked: (&Rules, &RlsContext),
    versioning: Versioning,
    object: &StorageObject,
    told: &[(&str, &str)],
) -> Result<Option<DeleteMarker>, Fault> {
    let (now, at) = (now(), (&object.bucket, &object.path));
    let marker = DeleteMarker::over(object.version, versioning);
    history::make_way(conn, asked, versioning, at, now)?;
    history::retire(conn, versioning, object, now)?;
    let Some(marker) = marker else {
        events::object(conn, "storage.object.deleted", object, told, now)?;
        return Ok(None);
    };
    history::mark(conn, marker, at, Some(object), object.owner_id, now)?;
    let id = marker.id().to_string();
    let told: Vec<_> = [("delete_marker", &*id)].into_iter().chain(told.iter().copied()).collect();
    events::object(conn, "storage.object.deleted", object, &told, now)?;
    Ok(Some(marker))
}

/// Puts a delete marker where no object is.
fn mark(
    conn: &Connection,
    asked: (&Rules, &RlsContext),
    versioning: Versioning,
    at: (&BucketName, &ObjectPath),
) -> Result<DeleteMarker, Fault> {
    let now = now();
    let marker = DeleteMarker { version: Uuid::now_v7(), versioned: versioning.makes_versions() };
    history::make_way(conn, asked, versioning, at, now)?;
    history::mark(conn, marker, at, None, asked.1.user_id(), now)?;
    Ok(marker)
}
