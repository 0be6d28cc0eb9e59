//! Emptying buckets that keep versions, a part at a time: what goes, goes as the caller, and what policies keep comes up.

use std::sync::Arc;

use tokio_postgres::Row;
use uuid::Uuid;

use super::errors::Fault;
use super::pool::Pool;
use super::rls::{Caller, refused};
use super::rows;
use super::session::{Answer, Session, Step, Values};
use super::versions::{ABOVE_ALL, FOR_GOOD};
use crate::bucket::BucketName;
use crate::executor::Emptied;
use crate::path::ObjectPath;
use crate::permissions::{Permission, RlsContext};

/// Makes the newest versions at some paths the objects, where there are none.
const PROMOTE_SOME: &str = "SELECT {inner}.promote($1, place) FROM unnest($2::text[]) place";

/// The part of a bucket's versions that is deleted at a time, from the last path to the first and of each the oldest first, so
/// that none comes up that goes as well: how many were found after a place, the last of them, the sizes of those that went, at which
/// paths, and then the paths and versions of all, in the order of the sizes.
const EMPTY: &str = "WITH found AS ( \
         SELECT * FROM ((SELECT path, sequence FROM {schema}.storage_object_versions \
             WHERE bucket_id = $1 AND path = $3 AND sequence > $4 ORDER BY path DESC, sequence LIMIT $2) \
         UNION ALL (SELECT path, sequence FROM {schema}.storage_object_versions \
             WHERE bucket_id = $1 AND path < $3 ORDER BY path DESC, sequence LIMIT $2)) part \
         ORDER BY path DESC, sequence LIMIT $2), \
     gone AS (DELETE FROM {schema}.storage_object_versions \
         WHERE bucket_id = $1 AND sequence IN (SELECT sequence FROM found) RETURNING path, version, size), \
     last AS (SELECT path, sequence FROM found ORDER BY path, sequence DESC LIMIT 1) \
     SELECT (SELECT count(*) FROM found), (SELECT path FROM last), ARRAY(SELECT size FROM gone ORDER BY version), \
         ARRAY(SELECT DISTINCT path FROM gone), (SELECT sequence FROM last), \
         ARRAY(SELECT path FROM gone ORDER BY version), ARRAY(SELECT version FROM gone ORDER BY version)";

/// Deletes versions of a bucket that are not current, as far as the caller may; gives them.
pub(super) async fn versions(
    pool: &Arc<Pool>,
    context: &RlsContext,
    bucket: &BucketName,
    limit: u64,
) -> Result<Vec<Emptied>, Fault> {
    let (mut deleted, mut after) = (Vec::new(), (ABOVE_ALL.clone(), 0_i64));
    // Rows that policies keep from being deleted are passed over.
    while let wanted @ 1.. = limit.saturating_sub(deleted.len() as u64) {
        let values = [&bucket.as_str() as _, &rows::int(wanted) as _, &after.0 as _, &after.1 as _];
        let emptied = match part(pool, context, bucket, (EMPTY, &values), false).await {
            Ok(emptied) => emptied,
            // What went is told of; who asks again meets the fault.
            Err(_) if !deleted.is_empty() => return Ok(deleted),
            Err(fault) => return Err(refused(fault, pool, context, Permission::ObjectDelete, bucket).await),
        };
        let Some(row) = emptied.rows.first() else { break };
        deleted.extend(gone(row, (5, 6))?);
        match row.try_get(1)? {
            Some(last) if rows::count(row, 0)? == wanted => after = (last, row.try_get(4)?),
            _ => break,
        }
    }
    Ok(deleted)
}

/// What went: sizes are the third column, and paths and versions these two, all in the same order.
pub(super) fn gone(row: &Row, (paths, versions): (usize, usize)) -> Result<Vec<Emptied>, Fault> {
    let (paths, versions): (Vec<&str>, Vec<Uuid>) = (row.try_get(paths)?, row.try_get(versions)?);
    let sizes: Vec<i64> = row.try_get(2)?;
    let all = paths.into_iter().zip(versions).zip(sizes);
    all.map(|((path, version), size)| {
        let size = u64::try_from(size).unwrap_or_default();
        Ok(Emptied { path: ObjectPath::parse(path)?, version, size })
    })
    .collect()
}

/// Deletes rows as the caller by a statement whose fourth column says at which paths, and has come up there what policies keep.
/// Objects go for good.
pub(super) async fn part(
    pool: &Arc<Pool>,
    context: &RlsContext,
    bucket: &BucketName,
    (sql, values): (&'static str, Values<'_>),
    keeps_nothing: bool,
) -> Result<Answer, Fault> {
    let (caller, keeper) = (Caller::of(context), Caller::keeper());
    let mut session = Session::start(pool, "empty_bucket").await?;
    let mut steps = vec![Step::As(&caller)];
    if keeps_nothing {
        steps.push(Step::Run(FOR_GOOD, &[]));
    }
    steps.push(Step::Run(sql, values));
    let emptied = session.run(&steps).await?.pop().unwrap_or_default();
    let paths: Vec<String> = emptied.rows.first().map(|row| row.try_get(3)).transpose()?.unwrap_or_default();
    let at = [&bucket.as_str() as _, &paths as _];
    // Statements are prepared before they are sent, by whoever that is then: this one is the keeper's alone.
    session.run(&[Step::As(&keeper)]).await?;
    session.run(&[Step::Run(PROMOTE_SOME, &at), Step::Commit]).await?;
    Ok(emptied)
}
