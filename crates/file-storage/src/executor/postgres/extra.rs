//! What S3 keeps beside rows: changed as the caller, without touching what all protocols know of them.

use std::sync::Arc;

use tokio_postgres::types::Json;

use super::decide::{LOCK, TARGET_TO_WRITE, place, version, write};
use super::errors::Fault;
use super::pool::Pool;
use super::put::extra;
use super::rls::{Caller, Subject, refused};
use super::rows;
use super::session::{Session, Step};
use super::{buckets, read, session};
use crate::bucket::BucketName;
use crate::errors::{DenialReason, StorageError};
use crate::executor::decide;
use crate::executor::proposal::Proposed;
use crate::extra::{BucketExtra, BucketExtraUpdate, Tag};
use crate::file::{ETags, PutMode, StorageObject};
use crate::path::ObjectPath;
use crate::permissions::policy::Candidate;
use crate::permissions::{Access, Permission};

const TAG: &str = "UPDATE {schema}.storage_objects SET extra = $3 \
     WHERE bucket_id = $1 AND path = $2 AND version = $4";

const OF_BUCKET: &str = "SELECT extra FROM {schema}.storage_buckets WHERE id = $1";

const UPDATE_BUCKET: &str =
    "UPDATE {schema}.storage_buckets SET extra = coalesce(extra, '{}') || $2 WHERE id = $1";

/// Replaces the tags of an object, by the rules of an overwrite of it by itself.
pub(super) async fn tag(
    pool: &Arc<Pool>,
    access: &Access,
    (bucket, path): (&BucketName, &ObjectPath),
    tags: &[Tag],
) -> Result<StorageObject, Fault> {
    let (mode, permission) = (PutMode::IfMatch(ETags::Any), Permission::ObjectOverwrite);
    let existing = read::show(pool, access, bucket, path).await?;
    let context = access.on_object(permission, bucket, path)?;
    let mut session = Session::start(pool, "tag_object").await?;
    let places = vec![place(bucket, path)];
    let Subject { role, user } = Subject::from(context);
    let at = [&role as _, &user as _, &bucket.as_str() as _, &path.as_str() as _];
    let (keeper, places) = (Caller::keeper_by_keys(), [&places as _]);
    let look = [Step::As(&keeper), Step::Run(LOCK, &places), Step::Run(&TARGET_TO_WRITE, &at)];
    let found = session.run(&look).await?;
    let row = found.last().and_then(|answer| answer.rows.first());
    let rules = match row {
        Some(row) => pool.rules().within(&mut session, version(row)?).await?,
        None => Arc::default(),
    };
    let candidate = Candidate::object(&existing);
    let target = write(row, &rules, access, (bucket, path), &mode, Proposed::Own(&candidate))?;
    let Some(mut object) = target.existing else {
        return Err(StorageError::ObjectNotFound { bucket: bucket.clone(), path: path.clone() }.into());
    };
    object.extra.tags = tags.to_vec();
    let (caller, kept) = (Caller::of(context), extra(&object.extra));
    let values = [&bucket.as_str() as _, &path.as_str() as _, &kept as _, &object.version as _];
    let steps = [Step::As(&caller), Step::Run(TAG, &values), Step::Commit];
    let done = session.run(&steps).await;
    match done {
        Ok(answers) if answers.first().is_some_and(|answer| answer.affected == 1) => Ok(object),
        Ok(_) => Err(Fault::Overtaken),
        Err(fault) if fault.is_denial() => {
            Err(decide::refusal(context, permission, bucket, DenialReason::NotOwner).into())
        }
        Err(fault) if rules.speak_of(context) => {
            // The connection is needed for the log.
            drop(session);
            Err(refused(fault, pool, context, permission, bucket).await)
        }
        Err(fault) => Err(fault),
    }
}

/// What is kept beside a bucket.
pub(super) async fn of_bucket(
    pool: &Arc<Pool>,
    access: &Access,
    name: &BucketName,
) -> Result<BucketExtra, Fault> {
    let permission = Permission::BucketUpdate;
    let context = access.on_rows(permission, Some(name))?;
    decide::reach(context, permission, name, buckets::look(pool, context, permission, name).await?)?;
    let (caller, values) = (Caller::of(context), [&name.as_str() as _]);
    let found = session::read(pool, "bucket_extra", &caller, OF_BUCKET, &values).await?;
    match found.first() {
        Some(row) => rows::extra(row, 0),
        None => Err(StorageError::BucketNotFound { bucket: name.clone() }.into()),
    }
}

/// Changes it, part by part.
pub(super) async fn update_bucket(
    pool: &Arc<Pool>,
    access: &Access,
    name: &BucketName,
    update: &BucketExtraUpdate,
) -> Result<(), Fault> {
    let permission = Permission::BucketUpdate;
    let context = access.on_rows(permission, Some(name))?;
    let mut session = Session::start(pool, "update_bucket_extra").await?;
    buckets::reach(&mut session, context, permission, name).await?;
    let values = [&name.as_str() as _, &Json(update) as _];
    buckets::change(&mut session, context, permission, name, UPDATE_BUCKET, &values).await
}
