//! What objects take, by a look at all of them: how much, how many, how old. Bounded by the time that a statement may take.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::errors::{Fault, unavailable};
use super::pool::Pool;
use super::rls::Caller;
use super::rows::count;
use super::session::read;
use crate::errors::StorageError;
use crate::executor::{UsageBy, UsageGroup};
use crate::permissions::{Access, Permission};

/// Objects, and older versions of them, that answer to a condition: by what, at most so many (`$1`).
fn grouped(name: &str, condition: &str) -> String {
    format!(
        "SELECT name, sum(files)::bigint, sum(bytes)::bigint, sum(kept)::bigint, min(oldest), max(newest) FROM ( \
         SELECT {name} AS name, count(*) AS files, sum(size) AS bytes, 0 AS kept, min(created_at) AS oldest, \
            max(created_at) AS newest FROM {{schema}}.storage_objects WHERE {condition} GROUP BY 1 \
         UNION ALL \
         SELECT {name}, 0, 0, sum(size), NULL, NULL FROM {{schema}}.storage_object_versions \
            WHERE NOT is_delete_marker AND {condition} GROUP BY 1) AS found \
         GROUP BY name ORDER BY sum(bytes) + sum(kept) DESC, name LIMIT $1"
    )
}

static ALL_BY_USER: LazyLock<String> = LazyLock::new(|| grouped("owner_id::text", "true"));
static OWN_BY_USER: LazyLock<String> = LazyLock::new(|| grouped("owner_id::text", "owner_id = $2"));
static ALL_BY_BUCKET: LazyLock<String> = LazyLock::new(|| grouped("bucket_id", "true"));
static OWN_BY_BUCKET: LazyLock<String> = LazyLock::new(|| grouped("bucket_id", "owner_id = $2"));

/// A folder's paths are a range, which indexes know: bucket, first path, the first one after it, and whose.
static ALL_OF_FOLDER: LazyLock<String> =
    LazyLock::new(|| grouped("$2::text", "bucket_id = $2 AND path >= $3 AND path < $4"));
static OWN_OF_FOLDER: LazyLock<String> =
    LazyLock::new(|| grouped("$2::text", "owner_id = $5 AND bucket_id = $2 AND path >= $3 AND path < $4"));

/// By where the bytes of objects and of older versions are. What is of one object counts as one, where its first bytes are.
const BY_PROVIDER: &str = "SELECT s.provider, count(*) FILTER (WHERE s.ordinal = 0 AND o.version IS NOT NULL), \
         coalesce(sum(s.size) FILTER (WHERE o.version IS NOT NULL), 0)::bigint, \
         coalesce(sum(s.size) FILTER (WHERE o.version IS NULL), 0)::bigint, min(o.created_at), max(o.created_at) \
     FROM {schema}.storage_segments s LEFT JOIN {schema}.storage_objects o ON o.version = s.version \
     GROUP BY s.provider ORDER BY sum(s.size) DESC, s.provider LIMIT $1";

/// What the operation is called.
const OPERATION: &str = "usage_by";

/// How long a look waits for a place, and when its caller may try again.
const PATIENCE: Duration = Duration::from_secs(1);

/// What there is, by name. `places` bounds how many looks, and queries of callers, run at a time, so that they leave connections to the
/// others.
pub(super) async fn groups(
    pool: &Arc<Pool>,
    places: &Arc<Semaphore>,
    access: &Access,
    by: &UsageBy,
    limit: u32,
) -> Result<Vec<UsageGroup>, Fault> {
    let asked = match by {
        UsageBy::Provider => Permission::Maintain,
        UsageBy::User | UsageBy::Bucket | UsageBy::Folder(..) => Permission::UsageRead,
    };
    let context = access.on_rows(asked, None)?;
    let is_of_all = context.is_service() || matches!(by, UsageBy::Provider);
    let mut values: Vec<Box<dyn ToSql + Send + Sync>> = vec![Box::new(i64::from(limit))];
    if let UsageBy::Folder(bucket, folder) = by {
        let (bucket, from, until) = UsageBy::range(bucket, folder.as_ref());
        values.push(Box::new(bucket));
        values.push(Box::new(from));
        values.push(Box::new(until));
    }
    if !is_of_all {
        values.push(Box::new(context.user_id()));
    }
    let place = match tokio::time::timeout(PATIENCE, Arc::clone(places).acquire_owned()).await {
        Ok(Ok(place)) => place,
        Ok(Err(_)) => return Err(unavailable(OPERATION).into()),
        Err(_) => return Err(StorageError::Overloaded { retry_after: PATIENCE }.into()),
    };
    let (asker, sql) = (Arc::clone(pool), statement(by, is_of_all));
    let looked = pool.tasks().spawn(async move {
        // Held until the database has answered, also when nobody waits for that any more: it looks on all the same.
        let _place = place;
        look(&asker, sql, &values).await
    });
    let rows = looked.await.map_err(|_| StorageError::internal("usage_by panicked"))??;
    rows.iter().map(group).collect()
}

/// Asks the database. No longer than an operation: others wait for the place.
async fn look(
    pool: &Arc<Pool>,
    sql: &'static str,
    values: &[Box<dyn ToSql + Send + Sync>],
) -> Result<Vec<Row>, Fault> {
    let values: Vec<_> = values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
    let keeper = Caller::keeper();
    match tokio::time::timeout(pool.operation_timeout(), read(pool, OPERATION, &keeper, sql, &values)).await {
        Ok(rows) => rows,
        Err(_) => Err(StorageError::OperationTimeout { operation: OPERATION }.into()),
    }
}

/// What is asked: of everybody's, or of the caller's own.
fn statement(by: &UsageBy, is_of_all: bool) -> &'static str {
    match (by, is_of_all) {
        (UsageBy::User, true) => &ALL_BY_USER,
        (UsageBy::User, false) => &OWN_BY_USER,
        (UsageBy::Bucket, true) => &ALL_BY_BUCKET,
        (UsageBy::Bucket, false) => &OWN_BY_BUCKET,
        (UsageBy::Folder(..), true) => &ALL_OF_FOLDER,
        (UsageBy::Folder(..), false) => &OWN_OF_FOLDER,
        (UsageBy::Provider, _) => BY_PROVIDER,
    }
}

fn group(row: &Row) -> Result<UsageGroup, Fault> {
    Ok(UsageGroup {
        name: row.try_get(0)?,
        file_count: count(row, 1)?,
        object_bytes: count(row, 2)?,
        version_bytes: count(row, 3)?,
        oldest: row.try_get(4)?,
        newest: row.try_get(5)?,
    })
}
