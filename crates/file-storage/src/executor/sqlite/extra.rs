//! What S3 keeps beside rows: changed without touching what all protocols know of them.

use rusqlite::{Connection, named_params};

use super::errors::Fault;
use super::put::extra;
use super::rows::{json, now};
use super::rules::Rules;
use super::{buckets, decide, events};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::decide as decisions;
use crate::executor::proposal::Proposed;
use crate::extra::{BucketExtra, BucketExtraUpdate, Tag};
use crate::file::{ETags, PutMode, StorageObject};
use crate::path::ObjectPath;
use crate::permissions::policy::Candidate;
use crate::permissions::{Access, Permission};

/// Replaces the tags of an object, by the rules of an overwrite of it by itself.
pub(super) fn tag(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    (bucket, path): (&BucketName, &ObjectPath),
    tags: &[Tag],
) -> Result<StorageObject, Fault> {
    let (mode, now) = (PutMode::IfMatch(ETags::Any), now());
    let existing = super::read::show(conn, rules, access, bucket, path)?;
    let candidate = Candidate::object(&existing);
    let target = decide::write(conn, rules, access, (bucket, path), &mode, Proposed::Own(&candidate), now)?;
    let Some(mut object) = target.existing else {
        return Err(StorageError::ObjectNotFound { bucket: bucket.clone(), path: path.clone() }.into());
    };
    object.extra.tags = tags.to_vec();
    conn.prepare_cached(
        "UPDATE storage_objects SET extra = :extra WHERE bucket_id = :bucket AND path = :path",
    )?
    .execute(named_params! {
        ":extra": extra(&object.extra), ":bucket": bucket.as_str(), ":path": path.as_str(),
    })?;
    events::object(conn, "storage.object.updated", &object, &[], now)?;
    Ok(object)
}

/// What is kept beside a bucket.
pub(super) fn of_bucket(conn: &Connection, access: &Access, name: &BucketName) -> Result<BucketExtra, Fault> {
    reach(conn, access, name)?;
    let mut statement = conn.prepare_cached("SELECT extra FROM storage_buckets WHERE id = :bucket")?;
    let mut rows = statement.query(named_params! { ":bucket": name.as_str() })?;
    match rows.next()? {
        Some(row) => json(row, 0, "extra"),
        None => Err(StorageError::BucketNotFound { bucket: name.clone() }.into()),
    }
}

/// Changes it: part by part, as JSON merges (RFC 7396).
pub(super) fn update_bucket(
    conn: &Connection,
    access: &Access,
    name: &BucketName,
    update: &BucketExtraUpdate,
) -> Result<(), Fault> {
    reach(conn, access, name)?;
    let patch = serde_json::to_string(update).map_err(|_| Fault::corrupt("extra"))?;
    conn.prepare_cached(
        "UPDATE storage_buckets SET extra = json_patch(coalesce(extra, '{}'), :patch) WHERE id = :bucket",
    )?
    .execute(named_params! { ":patch": patch, ":bucket": name.as_str() })?;
    Ok(())
}

fn reach(conn: &Connection, access: &Access, name: &BucketName) -> Result<(), Fault> {
    let permission = Permission::BucketUpdate;
    let context = access.on_rows(permission, Some(name))?;
    let seen = buckets::look(conn, context, permission, name)?;
    decisions::reach(context, permission, name, seen)?;
    Ok(())
}
