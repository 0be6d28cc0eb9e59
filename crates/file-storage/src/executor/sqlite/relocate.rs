//! Moving an object's row: no byte is touched.

use rusqlite::{Connection, named_params};
use uuid::Uuid;

use super::decide::{look, write};
use super::errors::Fault;
use super::ledger::{Change, count_in_bucket, fits_in_bucket};
use super::rls::text;
use super::rows::{micros, now};
use super::rules::Rules;
use super::{delete, events, history, put};
use crate::bucket::BucketName;
use crate::executor::decide;
use crate::executor::proposal::{Proposed, Purpose};
use crate::executor::{Relocation, Written};
use crate::file::{NewObject, PutMode};
use crate::path::ObjectPath;
use crate::permissions::policy::Candidate;
use crate::permissions::{Access, Permission};
use crate::versions::Versioning;

/// Moves an object; where a version is named, only while it is this one.
pub(super) fn relocate(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    (from, version): ((&BucketName, &ObjectPath), Option<Uuid>),
    to: (&BucketName, &ObjectPath),
    mode: &PutMode,
) -> Result<Relocation, Fault> {
    let context = access.on_object(Permission::ObjectRead, from.0, from.1)?;
    let seen = look(conn, rules, context, Purpose::Remove, from)?;
    let keeps = seen.as_ref().is_some_and(|seen| seen.target.bucket.config.versioning != Versioning::Off);
    let source = decide::source(access, from, seen.map(|seen| seen.target))?;
    decide::is_still(version, &source)?;
    if from == to {
        return Ok(Relocation::Moved(Box::new(source)));
    }
    if keeps {
        return Ok(Relocation::KeepsVersions);
    }
    let now = now();
    let moved = source.moved(to, now);
    let target = write(conn, rules, access, to, mode, Proposed::Moved(&Candidate::object(&moved)), now)?;
    let versioning = target.bucket.config.versioning;
    let moved = moved.within(versioning);
    let across = from.0 != to.0;
    if across {
        decide::takes(access, &target.bucket, &source)?;
    }
    let replaced = target.existing.as_ref();
    let change = Change {
        files: 1 - i64::from(replaced.is_some()),
        added: source.size,
        returned: replaced.filter(|old| !versioning.keeps(old.versioned)).map_or(0, |old| old.size),
    };
    if across {
        fits_in_bucket(conn, &target.bucket, change)?;
    }
    history::make_way(conn, (rules, context), versioning, to, now)?;
    if let Some(old) = replaced {
        history::retire(conn, versioning, old, now)?;
    }
    conn.prepare_cached("UPDATE storage_segments SET version = :version WHERE version = :before")?
        .execute(named_params! { ":version": text(moved.version), ":before": text(source.version) })?;
    conn.prepare_cached(
        "UPDATE storage_objects SET bucket_id = :bucket, path = :path, version = :version, updated_at = :now, \
         versioned = :versioned \
         WHERE bucket_id = :from_bucket AND path = :from_path",
    )?
    .execute(named_params! {
        ":bucket": moved.bucket.as_str(), ":path": moved.path.as_str(), ":version": text(moved.version),
        ":now": micros(now), ":from_bucket": from.0.as_str(), ":from_path": from.1.as_str(),
        ":versioned": moved.versioned,
    })?;
    if across {
        let leaves = Change { files: -1, added: 0, returned: source.size };
        let comes = Change { files: 1, added: source.size, returned: 0 };
        count_in_bucket(conn, from.0.as_str(), leaves)?;
        count_in_bucket(conn, to.0.as_str(), comes)?;
    }
    let origin = [("from_bucket", from.0.as_str()), ("from_path", from.1.as_str())];
    events::object(conn, "storage.object.moved", &moved, &origin, now)?;
    Ok(Relocation::Moved(Box::new(moved)))
}

/// Moves an object out of a bucket that keeps versions: its bytes are copied already, and a delete marker hides it.
pub(super) fn copied(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    (from, version): ((&BucketName, &ObjectPath), Uuid),
    object: NewObject,
    mode: &PutMode,
) -> Result<Written, Fault> {
    let context = access.on_object(Permission::ObjectRead, from.0, from.1)?;
    let seen = look(conn, rules, context, Purpose::Remove, from)?;
    let source = decide::source(access, from, seen.map(|seen| seen.target))?;
    decide::is_still(Some(version), &source)?;
    let written = put::put(conn, rules, access, object, mode)?;
    delete::one(conn, rules, access, from, None)?;
    Ok(written)
}
