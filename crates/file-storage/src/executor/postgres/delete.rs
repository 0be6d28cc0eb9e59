//! Deleting objects that are named. It is tried as the caller, and only where nothing was deleted is it asked why.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use tokio_postgres::Row;
use uuid::Uuid;

use super::buckets;
use super::decide::{LOCK, LOCK_ROWS, look, place, seen, sorted};
use super::errors::Fault;
use super::pool::Pool;
use super::put::LET_NULL_GO;
use super::rls::{Caller, policy_failed};
use super::rows::{self, OBJECT, OBJECT_WIDTH};
use super::session::{Session, Step, alone};
use crate::bucket::{Bucket, BucketName};
use crate::errors::DenialReason;
use crate::executor::decide;
use crate::executor::proposal::Purpose;
use crate::file::{ETags, StorageObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, BucketGrant, Permission, RlsContext, Role};
use crate::versions::{DeleteMarker, Deletion, Versioning};

/// By the whole key: of other rows, policies are not asked.
static DELETE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "DELETE FROM {{schema}}.storage_objects o WHERE o.bucket_id = $1 AND o.path = $2 \
         AND ($3::text[] IS NULL OR o.etag = ANY ($3)) \
         RETURNING {OBJECT}, {{schema}}.versioning(o.bucket_id)"
    )
});

/// In a small table, the planner may look at the other rows of the bucket, too. So it plans anew each time ([`PLAN_ANEW`]): what it
/// chose while there were few would go through a whole bucket for a few objects.
pub(super) static DELETE_MANY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "DELETE FROM {{schema}}.storage_objects o WHERE o.bucket_id = $1 AND o.path = ANY ($2::text[]) \
         RETURNING {OBJECT}, {{schema}}.versioning(o.bucket_id)"
    )
});

pub(super) const PLAN_ANEW: &str = "SET LOCAL plan_cache_mode = force_custom_plan";

/// Whether a delete marker may be put on a path: where no object is, and where policies, also those made by hand, hide
/// nothing from the caller's role. What is hidden gets none, and what is missing must not tell itself from that.
const MAY_MARK: &str = "SELECT NOT {inner}.hides($3) AND NOT EXISTS (SELECT 1 FROM {schema}.storage_objects o \
     WHERE o.bucket_id = $1 AND o.path = $2)";

/// Puts a delete marker where no object is; says whether it is a version of its own, or NULL where it did not.
const MARK: &str = "SELECT {inner}.mark($1, $2, $3, $4)";

/// Deletes one object, or puts a delete marker on top of it.
pub(super) async fn one(
    pool: &Arc<Pool>,
    access: &Access,
    (bucket, path): (&BucketName, &ObjectPath),
    condition: Option<&ETags>,
) -> Result<Deletion, Fault> {
    let context = access.on_object(Permission::ObjectDelete, bucket, path)?;
    let tags = match condition {
        Some(ETags::These(tags)) => Some(tags),
        Some(ETags::Any) | None => None,
    };
    let values = [&bucket.as_str() as _, &path.as_str() as _, &tags as _];
    let permission = Permission::ObjectDelete;
    let failed = match alone(pool, "delete_object", &Caller::of(context), &DELETE, &values).await {
        Ok(gone) => {
            if let Some(row) = gone.rows.first() {
                return deletion(row, rows::object_at(row, 0, bucket, path)?);
            }
            false
        }
        Err(fault) if policy_failed(&fault, pool, context, permission, bucket).await => true,
        Err(fault) => return Err(fault),
    };
    let (row, rules) = Box::pin(look(pool, access, bucket, path)).await?;
    let seen = seen(row.as_ref(), &rules, context, Purpose::Remove, (bucket, path))?;
    let seen = seen.map(|seen| seen.target);
    let may_mark = seen.as_ref().is_some_and(|target| may_mark(&target.bucket, context));
    let object = decide::delete(access, (bucket, path), seen)?;
    decide::matches(condition, (bucket, path), object.as_ref())?;
    match object {
        Some(_) if failed => {
            Err(decide::refusal(context, permission, bucket, DenialReason::PolicyFailed).into())
        }
        // It came between the two.
        Some(_) => Err(Fault::Overtaken),
        None if may_mark => Box::pin(mark(pool, context, bucket, path)).await,
        None => Ok(Deletion { path: path.clone(), object: None, marker: None }),
    }
}

/// What a row says that was deleted.
fn deletion(row: &Row, object: StorageObject) -> Result<Deletion, Fault> {
    let word: Option<&str> = row.try_get(OBJECT_WIDTH)?;
    let versioning = word.and_then(Versioning::from_word).ok_or_else(|| Fault::corrupt("versioning"))?;
    let marker = DeleteMarker::over(object.version, versioning);
    Ok(Deletion { path: object.path.clone(), object: Some(object), marker })
}

/// Whether the caller may put a delete marker where nothing is: to whom the whole bucket is open.
fn may_mark(bucket: &Bucket, context: &RlsContext) -> bool {
    bucket.config.versioning != Versioning::Off && BucketGrant::of(bucket, context) == BucketGrant::All
}

/// Puts a delete marker where no object is.
async fn mark(
    pool: &Arc<Pool>,
    context: &RlsContext,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<Deletion, Fault> {
    let (keeper, places, version) = (Caller::keeper(), vec![place(bucket, path)], Uuid::now_v7());
    let owner = context.user_id();
    let values = [&bucket.as_str() as _, &path.as_str() as _, &version as _, &owner as _];
    let (caller, role) = (Caller::of(context), context.role().as_str());
    let nothing = Deletion { path: path.clone(), object: None, marker: None };
    let mut session = Session::start(pool, "delete_object").await?;
    let asked = [&bucket.as_str() as _, &path.as_str() as _, &role as _];
    let ask = [Step::As(&keeper), Step::Run(LOCK, &[&places]), Step::Run(MAY_MARK, &asked)];
    let may = session.run(&ask).await?;
    if !may.last().and_then(|answer| answer.rows.first()).is_some_and(|row| row.try_get(0).unwrap_or(false)) {
        return Ok(nothing);
    }
    let at = [&bucket.as_str() as _, &path.as_str() as _];
    let steps = [
        Step::As(&caller),
        Step::Run(LET_NULL_GO, &at),
        Step::As(&keeper),
        Step::Run(MARK, &values),
        Step::Commit,
    ];
    let answers = session.run(&steps).await?;
    let versioned: Option<bool> = match answers.last().and_then(|answer| answer.rows.first()) {
        Some(row) => row.try_get(0)?,
        None => None,
    };
    let marker = versioned.map(|versioned| DeleteMarker { version, versioned });
    Ok(Deletion { marker, ..nothing })
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
) -> Result<Vec<Deletion>, Fault> {
    let context = access.on_rows(Permission::ObjectDelete, Some(bucket))?;
    let names: Vec<&str> = paths.iter().map(ObjectPath::as_str).collect();
    let values = [&bucket.as_str() as _, &names as _];
    let (caller, keeper, in_order) = (Caller::of(context), Caller::keeper(), sorted(paths));
    let rows = [&bucket.as_str() as _, &in_order as _];
    let steps = [
        Step::As(&keeper),
        Step::Run(LOCK_ROWS, &rows),
        Step::As(&caller),
        Step::Once(PLAN_ANEW),
        Step::Run(&DELETE_MANY, &values),
        Step::Commit,
    ];
    let mut session = Session::start(pool, "delete_objects").await?;
    let tried = session.run(&steps).await;
    // The connection is needed for what follows from a refusal.
    drop(session);
    let gone = match tried {
        Ok(answers) => answers.into_iter().next_back().unwrap_or_default(),
        // One row for which a policy fails would keep all of them.
        Err(fault) if policy_failed(&fault, pool, context, Permission::ObjectDelete, bucket).await => {
            return Box::pin(one_by_one(pool, &Caller::of(context), bucket, paths)).await;
        }
        Err(fault) => return Err(fault),
    };
    let mut deleted = HashMap::with_capacity(gone.rows.len());
    for row in &gone.rows {
        let object = rows::object(row, 0)?;
        deleted.insert(object.path.clone(), deletion(row, object)?);
    }
    let keeps = deleted.values().next().map(|deletion| deletion.marker.is_some());
    if deleted.len() < paths.len() && keeps != Some(false) && context.role() != Role::Anon {
        Box::pin(mark_others(pool, context, bucket, paths, &mut deleted)).await?;
    }
    Ok(paths.iter().filter_map(|path| deleted.remove(path)).collect())
}

/// Puts delete markers on those paths where no object was, where the caller may.
async fn mark_others(
    pool: &Arc<Pool>,
    context: &RlsContext,
    bucket: &BucketName,
    paths: &[ObjectPath],
    deleted: &mut HashMap<ObjectPath, Deletion>,
) -> Result<(), Fault> {
    let found = buckets::look(pool, context, Permission::BucketRead, bucket).await?;
    if found.is_none_or(|(bucket, _)| !may_mark(&bucket, context)) {
        return Ok(());
    }
    for path in paths {
        if !deleted.contains_key(path) {
            let marked = mark(pool, context, bucket, path).await?;
            if marked.marker.is_some() {
                deleted.insert(path.clone(), marked);
            }
        }
    }
    Ok(())
}

/// The same, in one transaction still, but each object by a statement of its own: where a policy fails, the object stays,
/// as one that policies keep.
async fn one_by_one(
    pool: &Arc<Pool>,
    caller: &Caller,
    bucket: &BucketName,
    paths: &[ObjectPath],
) -> Result<Vec<Deletion>, Fault> {
    let mut session = Session::start(pool, "delete_objects").await?;
    let (keeper, in_order) = (Caller::keeper(), sorted(paths));
    let rows = [&bucket.as_str() as _, &in_order as _];
    session.run(&[Step::As(&keeper), Step::Run(LOCK_ROWS, &rows), Step::As(caller)]).await?;
    let mut deleted = Vec::new();
    let unconditional: Option<Vec<String>> = None;
    for path in paths {
        let values = [&bucket.as_str() as _, &path.as_str() as _, &unconditional as _];
        match session.run(&[Step::Once(TRY), Step::Run(&DELETE, &values), Step::Once(KEEP)]).await {
            Ok(gone) => {
                if let Some(row) = gone.first().and_then(|gone| gone.rows.first()) {
                    deleted.push(deletion(row, rows::object_at(row, 0, bucket, path)?)?);
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
