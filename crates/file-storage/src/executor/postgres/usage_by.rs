//! What objects take, by a look at all of them: how much, how many, how old. Bounded by the time that a statement may take.

use std::sync::{Arc, LazyLock};

use tokio_postgres::Row;

use super::errors::Fault;
use super::pool::Pool;
use super::rls::Caller;
use super::rows::count;
use super::session::read;
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

/// What there is, by name.
pub(super) async fn groups(
    pool: &Arc<Pool>,
    access: &Access,
    by: &UsageBy,
    limit: u32,
) -> Result<Vec<UsageGroup>, Fault> {
    let asked = match by {
        UsageBy::Provider => Permission::Maintain,
        UsageBy::User | UsageBy::Bucket | UsageBy::Folder(..) => Permission::UsageRead,
    };
    let context = access.on_rows(asked, None)?;
    let (is_service, user, limit) = (context.is_service(), context.user_id(), i64::from(limit));
    let keeper = Caller::keeper();
    let ask = async |sql: &'static str, values: &[&(dyn tokio_postgres::types::ToSql + Sync)]| {
        let rows = read(pool, "usage_by", &keeper, sql, values).await?;
        rows.iter().map(group).collect::<Result<Vec<_>, Fault>>()
    };
    match by {
        UsageBy::User if is_service => ask(&ALL_BY_USER, &[&limit]).await,
        UsageBy::User => ask(&OWN_BY_USER, &[&limit, &user]).await,
        UsageBy::Bucket if is_service => ask(&ALL_BY_BUCKET, &[&limit]).await,
        UsageBy::Bucket => ask(&OWN_BY_BUCKET, &[&limit, &user]).await,
        UsageBy::Provider => ask(BY_PROVIDER, &[&limit]).await,
        UsageBy::Folder(bucket, folder) => {
            let (bucket, from, until) = UsageBy::range(bucket, folder.as_ref());
            match is_service {
                true => ask(&ALL_OF_FOLDER, &[&limit, &bucket, &from, &until]).await,
                false => ask(&OWN_OF_FOLDER, &[&limit, &bucket, &from, &until, &user]).await,
            }
        }
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
