//! Deleting objects that are named. It is tried as the caller, and only where nothing was deleted is it asked why.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::decide::{look, seen};
use super::errors::Fault;
use super::pool::Pool;
use super::rls::{Caller, policy_failed};
use super::rows::{self, OBJECT};
use super::session::{Session, Step, alone};
use crate::bucket::BucketName;
use crate::errors::DenialReason;
use crate::executor::decide;
use crate::executor::proposal::Purpose;
use crate::file::StorageObject;
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

/// By the whole key: of other rows, policies are not asked.
static DELETE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "DELETE FROM {{schema}}.storage_objects o WHERE o.bucket_id = $1 AND o.path = $2 RETURNING {OBJECT}"
    )
});

/// In a small table, the planner may look at the other rows of the bucket, too.
static DELETE_MANY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "DELETE FROM {{schema}}.storage_objects o WHERE o.bucket_id = $1 AND o.path = ANY ($2::text[]) \
         RETURNING {OBJECT}"
    )
});

/// Deletes one object; `None` where no row is visible.
pub(super) async fn one(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<Option<StorageObject>, Fault> {
    let context = access.on_object(Permission::ObjectDelete, bucket, path)?;
    let values = [&bucket.as_str() as _, &path.as_str() as _];
    let permission = Permission::ObjectDelete;
    let failed = match alone(pool, "delete_object", &Caller::of(context), &DELETE, &values).await {
        Ok(gone) => {
            if let Some(row) = gone.rows.first() {
                return Ok(Some(rows::object_at(row, 0, bucket, path)?));
            }
            false
        }
        Err(fault) if policy_failed(&fault, pool, context, permission, bucket).await => true,
        Err(fault) => return Err(fault),
    };
    let (row, rules) = Box::pin(look(pool, access, bucket, path)).await?;
    let seen = seen(row.as_ref(), &rules, context, Purpose::Remove, (bucket, path))?;
    let seen = seen.map(|seen| seen.target);
    match decide::delete(access, (bucket, path), seen)? {
        Some(_) if failed => {
            Err(decide::refusal(context, permission, bucket, DenialReason::PolicyFailed).into())
        }
        // It came between the two.
        Some(_) => Err(Fault::Overtaken),
        None => Ok(None),
    }
}

/// One of many: what fails is taken back, and nothing else.
const TRY: &str = "SAVEPOINT tried";
const KEEP: &str = "RELEASE SAVEPOINT tried";
const UNDO: &str = "ROLLBACK TO SAVEPOINT tried";

/// Deletes those objects that the caller may delete, and gives them back in the order in which they were named.
pub(super) async fn many(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    paths: &[ObjectPath],
) -> Result<Vec<StorageObject>, Fault> {
    let context = access.on_rows(Permission::ObjectDelete, Some(bucket))?;
    let names: Vec<&str> = paths.iter().map(ObjectPath::as_str).collect();
    let values = [&bucket.as_str() as _, &names as _];
    let gone = match alone(pool, "delete_objects", &Caller::of(context), &DELETE_MANY, &values).await {
        Ok(gone) => gone,
        // One row for which a policy fails would keep all of them.
        Err(fault) if policy_failed(&fault, pool, context, Permission::ObjectDelete, bucket).await => {
            return Box::pin(one_by_one(pool, &Caller::of(context), bucket, paths)).await;
        }
        Err(fault) => return Err(fault),
    };
    let mut deleted = HashMap::with_capacity(gone.rows.len());
    for row in &gone.rows {
        let object = rows::object(row, 0)?;
        deleted.insert(object.path.clone(), object);
    }
    Ok(paths.iter().filter_map(|path| deleted.remove(path)).collect())
}

/// The same, in one transaction still, but each object by a statement of its own: where a policy fails, the object stays,
/// as one that policies keep.
async fn one_by_one(
    pool: &Arc<Pool>,
    caller: &Caller,
    bucket: &BucketName,
    paths: &[ObjectPath],
) -> Result<Vec<StorageObject>, Fault> {
    let mut session = Session::start(pool, "delete_objects").await?;
    session.run(&[Step::As(caller)]).await?;
    let mut deleted = Vec::new();
    for path in paths {
        let values = [&bucket.as_str() as _, &path.as_str() as _];
        match session.run(&[Step::Once(TRY), Step::Run(&DELETE, &values), Step::Once(KEEP)]).await {
            Ok(gone) => {
                if let Some(row) = gone.first().and_then(|gone| gone.rows.first()) {
                    deleted.push(rows::object_at(row, 0, bucket, path)?);
                }
            }
            Err(fault) if fault.of_policy().is_some() => {
                session.run(&[Step::Once(UNDO)]).await?;
            }
            Err(fault) => return Err(fault),
        }
    }
    session.run(&[Step::Commit]).await?;
    Ok(deleted)
}
