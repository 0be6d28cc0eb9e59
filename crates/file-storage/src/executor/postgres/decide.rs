//! What is at a path, as the predicates judge it, for the decisions of [`crate::executor::decide`]: seen by the
//! keeper, as an answer may depend on what the caller can't see.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest;
use tokio_postgres::Row;

use super::errors::Fault;
use super::pool::Pool;
use super::rls::{Caller, Subject, flag};
use super::rows::{self, BUCKET, BUCKET_WIDTH, OBJECT, OBJECT_WIDTH};
use super::schema::SchemaName;
use super::session::read;
use crate::bucket::BucketName;
use crate::executor::Admission;
use crate::executor::decide::{self, PolicyView, Target};
use crate::file::{BlobKey, PutMode};
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

fn target_statement(lock: &str) -> String {
    format!(
        "SELECT {BUCKET}, {OBJECT}, {}, {}, {}, {}, u.total_bytes, u.quota_bytes \
         FROM {{schema}}.storage_buckets b \
         LEFT JOIN {{schema}}.storage_objects o ON o.bucket_id = b.id AND o.path = $4 \
         LEFT JOIN {{schema}}.storage_usage u \
         ON u.user_id = CASE WHEN o.id IS NULL THEN $2::uuid ELSE o.owner_id END \
         WHERE b.id = $3 {lock}",
        flag(Permission::ObjectRead),
        flag(Permission::ObjectCreate),
        flag(Permission::ObjectOverwrite),
        flag(Permission::ObjectDelete),
    )
}

/// Looks at a path under the predicates of all permissions: role, user, bucket, path.
pub(super) static TARGET: LazyLock<String> = LazyLock::new(|| target_statement(""));

/// The same, and keeps the bucket from being deleted until the transaction ends.
pub(super) static TARGET_TO_WRITE: LazyLock<String> =
    LazyLock::new(|| target_statement("FOR KEY SHARE OF b"));

/// Waits until nobody else is at these places, and keeps them. A statement of its own, as what is looked at
/// afterwards must be what others left.
pub(super) const LOCK: &str = "SELECT pg_advisory_xact_lock(place) FROM unnest($1::bigint[]) place";

/// Waits until nobody writes these blobs.
pub(super) const AWAIT: &str = "SELECT pg_advisory_xact_lock_shared(place) FROM unnest($1::bigint[]) place";

/// What stands for a path, among locks: writers of one path take turns.
pub(super) fn place(bucket: &BucketName, path: &ObjectPath) -> i64 {
    number(&[b"path", bucket.as_str().as_bytes(), path.as_str().as_bytes()])
}

/// What stands for a blob, among locks. It is held by the transaction that makes the blob known, until its very
/// end: so that whoever asks whether a blob is known, after a connection or a process was lost, does not get his
/// answer before a COMMIT that is still under way.
pub(super) fn blob_place(key: &BlobKey) -> i64 {
    number(&[b"blob", key.as_str().as_bytes()])
}

/// What stands for the orphan job, among locks.
pub(super) fn orphan_job_place(schema: &SchemaName) -> i64 {
    number(&[b"orphan job", schema.to_string().as_bytes()])
}

fn number(parts: &[&[u8]]) -> i64 {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
        context.update(b"\0");
    }
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    i64::from_be_bytes(first)
}

/// What a row of the statements above says.
pub(super) fn target(
    row: Option<&Row>,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<Option<Target>, Fault> {
    let Some(row) = row else { return Ok(None) };
    let there = rows::is_there(row, BUCKET_WIDTH)?;
    let flags = BUCKET_WIDTH + OBJECT_WIDTH;
    Ok(Some(Target {
        bucket: rows::bucket(row, 0)?,
        existing: if there { Some(rows::object_at(row, BUCKET_WIDTH, bucket, path)?) } else { None },
        visible: there && row.try_get(flags)?,
        creatable: row.try_get(flags + 1)?,
        overwritable: there && row.try_get(flags + 2)?,
        deletable: there && row.try_get(flags + 3)?,
        policy: PolicyView::default(),
    }))
}

/// Looks at a path, without any lock.
pub(super) async fn look(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<Vec<Row>, Fault> {
    let Subject { role, user } = Subject::from(access.context());
    let values = [&role as _, &user as _, &bucket.as_str() as _, &path.as_str() as _];
    read(pool, "look", &Caller::keeper(), &TARGET, &values).await
}

/// Decides whether a URL may be signed that writes in this mode.
pub(super) async fn sign(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
    mode: &PutMode,
) -> Result<(), Fault> {
    access.on_object(decide::first_permission(mode), bucket, path)?;
    let found = look(pool, access, bucket, path).await?;
    let seen = target(found.first(), bucket, path)?;
    Ok(decide::sign(access, (bucket, path), mode, seen)?)
}

/// Leave to write, before a byte was read.
pub(super) async fn admit(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
    mode: &PutMode,
) -> Result<Admission, Fault> {
    access.on_object(decide::first_permission(mode), bucket, path)?;
    let found = look(pool, access, bucket, path).await?;
    let seen = target(found.first(), bucket, path)?;
    let target = decide::write(access, (bucket, path), mode, seen)?;
    let user = match found.first() {
        Some(row) => {
            let at = BUCKET_WIDTH + OBJECT_WIDTH + 4;
            rows::opt_count(row, at)?.zip(rows::opt_count(row, at + 1)?)
        }
        None => None,
    };
    Ok(decide::admission(target, user))
}
