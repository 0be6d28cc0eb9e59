//! Versions and unfinished uploads in the order of their paths, page by page.

use std::sync::Arc;

use uuid::Uuid;

use crate::bucket::BucketName;
use crate::executor::bounds::successor;
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::rls::Caller;
use crate::executor::postgres::rows::{count, extra};
use crate::executor::postgres::session::read;
use crate::executor::{AgedScan, UploadScan};
use crate::extra::ObjectExtra;
use crate::lifecycle::{AgedUpload, AgedVersion};
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

/// What comes above every path, as the greatest character repeated.
fn above_all() -> String {
    "\u{10ffff}".repeat(257)
}

/// Objects; what is left of the versions at the first path; and those at the paths after it. Each part walks an index, and no
/// further than the page is long. All are seen as they are at one moment.
const VERSIONS: &str = "\
    (SELECT path, version, 9223372036854775807 AS sequence, size, updated_at, NULL::timestamptz AS noncurrent_at, \
        false AS is_delete_marker, extra FROM {schema}.storage_objects \
        WHERE bucket_id = $1 AND path >= $2 AND path < $3 ORDER BY path LIMIT $6) \
    UNION ALL (SELECT path, version, sequence, size, updated_at, noncurrent_at, is_delete_marker, extra \
        FROM {schema}.storage_object_versions WHERE bucket_id = $1 AND path = $4 AND sequence < $5::bigint \
        ORDER BY path, sequence DESC LIMIT $6) \
    UNION ALL (SELECT path, version, sequence, size, updated_at, noncurrent_at, is_delete_marker, extra \
        FROM {schema}.storage_object_versions WHERE bucket_id = $1 AND path >= $2 AND path < $3 \
        ORDER BY path, sequence DESC LIMIT $6) \
    ORDER BY path, sequence DESC LIMIT $6";

const UPLOADS: &str = "SELECT id, path, held_bytes FROM {schema}.multipart_uploads WHERE bucket_id = $1 \
     AND (path, id) > ($2, $3) AND path < $4 AND NOT ended AND created_at <= $5 ORDER BY path, id LIMIT $6";

/// Versions, by path and the newest first.
pub(in crate::executor::postgres) async fn versions(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    scan: &AgedScan,
) -> Result<Vec<AgedVersion>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let low = if scan.below.is_some() { format!("{}\u{1}", scan.from) } else { scan.from.clone() };
    let until = scan.until.clone().unwrap_or_else(above_all);
    let limit = i64::from(scan.limit);
    let values =
        [&bucket.as_str() as _, &low as _, &until as _, &scan.from as _, &scan.below as _, &limit as _];
    let found = read(pool, "aged_versions", &Caller::keeper(), VERSIONS, &values).await?;
    let version = |row: &tokio_postgres::Row| {
        let extra: ObjectExtra = extra(row, 7)?;
        Ok(AgedVersion {
            path: ObjectPath::parse(row.try_get(0)?)?,
            version: row.try_get(1)?,
            sequence: row.try_get(2)?,
            size: count(row, 3)?,
            written_at: row.try_get(4)?,
            noncurrent_at: row.try_get(5)?,
            is_delete_marker: row.try_get(6)?,
            tags: extra.tags,
        })
    };
    found.iter().map(version).collect()
}

/// Unfinished uploads that are old enough, by path and identity.
pub(in crate::executor::postgres) async fn uploads(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    scan: &UploadScan,
) -> Result<Vec<AgedUpload>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let (path, id) = match &scan.after {
        Some((path, id)) => (path.as_str(), *id),
        None => (scan.prefix.as_str(), Uuid::nil()),
    };
    let until = successor(&scan.prefix).unwrap_or_else(above_all);
    let limit = i64::from(scan.limit);
    let values = [&bucket.as_str() as _, &path as _, &id as _, &until as _, &scan.before as _, &limit as _];
    let found = read(pool, "aged_uploads", &Caller::keeper(), UPLOADS, &values).await?;
    let upload = |row: &tokio_postgres::Row| {
        Ok(AgedUpload {
            id: row.try_get(0)?,
            path: ObjectPath::parse(row.try_get(1)?)?,
            size: count(row, 2)?,
        })
    };
    found.iter().map(upload).collect()
}
