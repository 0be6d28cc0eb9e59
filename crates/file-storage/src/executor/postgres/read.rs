//! Reading one object, as the caller: its row and the way to its bytes, in one statement and one round trip.

use std::sync::{Arc, LazyLock};

use super::errors::Fault;
use super::pool::Pool;
use super::rls::{Caller, policy_failed};
use super::rows::{self, BUCKET, BUCKET_WIDTH, OBJECT, OBJECT_WIDTH, SEGMENT};
use super::rules::{self, VERSION};
use super::session::read;
use super::versions;
use crate::bucket::BucketName;
use crate::file::{StorageObject, StoredObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, BucketGrant, Permission, RlsContext, bucket_missing};
use crate::versions::Versioning;

static OPEN: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {OBJECT}, {SEGMENT} FROM {{schema}}.storage_objects o \
         LEFT JOIN {{schema}}.storage_segments s ON s.version = o.version \
         WHERE o.bucket_id = $1 AND o.path = $2 ORDER BY s.ordinal"
    )
});

static SHOW: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT {OBJECT} FROM {{schema}}.storage_objects o WHERE o.bucket_id = $1 AND o.path = $2")
});

static BUCKET_OF_MISS: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {BUCKET}, {VERSION} FROM {{schema}}.storage_buckets b WHERE b.id = $1"));

/// An object and its segments.
pub(super) async fn open(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<StoredObject, Fault> {
    let context = access.on_object(Permission::ObjectRead, bucket, path)?;
    let values = [&bucket.as_str() as _, &path.as_str() as _];
    let found = match read(pool, "open_object", &Caller::of(context), &OPEN, &values).await {
        Ok(found) => found,
        Err(fault) => return Err(failed(fault, pool, context, bucket, path).await),
    };
    let Some(first) = found.first() else {
        return Err(missing(pool, context, bucket, path).await);
    };
    let object = rows::object_at(first, 0, bucket, path)?;
    let mut segments = Vec::with_capacity(found.len());
    for row in &found {
        segments.extend(rows::segment(row, OBJECT_WIDTH)?);
    }
    Ok(StoredObject { object, segments })
}

/// An object's row.
pub(super) async fn show(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<StorageObject, Fault> {
    let context = access.on_object(Permission::ObjectRead, bucket, path)?;
    let values = [&bucket.as_str() as _, &path.as_str() as _];
    let found = match read(pool, "object", &Caller::of(context), &SHOW, &values).await {
        Ok(found) => found,
        Err(fault) => return Err(failed(fault, pool, context, bucket, path).await),
    };
    match found.first() {
        Some(row) => rows::object_at(row, 0, bucket, path),
        None => Err(missing(pool, context, bucket, path).await),
    }
}

/// A row of which a policy could not be computed is as good as invisible: another answer would tell that it is there.
async fn failed(
    fault: Fault,
    pool: &Arc<Pool>,
    context: &RlsContext,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Fault {
    if policy_failed(&fault, pool, context, Permission::ObjectRead, bucket).await {
        return missing(pool, context, bucket, path).await;
    }
    fault
}

/// The answer that a miss gets. It depends on the bucket and on policies alone, and not on what is in it.
pub(super) async fn missing(
    pool: &Arc<Pool>,
    context: &RlsContext,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Fault {
    let permission = Permission::ObjectRead;
    let grant = async || {
        let found = read(pool, "look", &Caller::keeper(), &BUCKET_OF_MISS, &[&bucket.as_str()]).await?;
        let Some(row) = found.first() else { return Ok(None) };
        let rules = rules::at(pool, row.try_get(BUCKET_WIDTH)?).await?;
        let opened = rules.policies().opens(context.role(), permission, bucket);
        let found = rows::bucket(row, 0)?;
        Ok(Some((BucketGrant::of(&found, context).or_rows(opened), found.config.versioning)))
    };
    match grant().await {
        Ok(Some((grant, versioning))) => {
            let answer = grant.missing(context, permission, bucket, path);
            match versioning {
                Versioning::Off => answer.into(),
                // What is rare is kept out of the futures of what is not.
                Versioning::Enabled | Versioning::Suspended => {
                    Box::pin(versions::hidden(pool, context, answer)).await
                }
            }
        }
        Ok(None) => bucket_missing(context, permission, bucket).into(),
        Err(fault) => fault,
    }
}
