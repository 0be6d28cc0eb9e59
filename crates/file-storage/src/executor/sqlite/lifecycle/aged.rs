//! Versions and unfinished uploads in the order of their paths, page by page.

use rusqlite::{Connection, named_params};

use crate::bucket::BucketName;
use crate::executor::bounds::successor;
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::rls::text;
use crate::executor::sqlite::rows::{count, json, micros, str, time, uuid};
use crate::executor::{AgedScan, UploadScan, just_after};
use crate::extra::ObjectExtra;
use crate::lifecycle::{AgedUpload, AgedVersion};
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

/// What comes above every path, as the greatest character repeated.
fn above_all() -> String {
    "\u{10ffff}".repeat(257)
}

/// Objects; what is left of the versions at the first path; and those at the paths after it. Each part walks an index, and no
/// further than the page is long.
const VERSIONS: &str = "\
    SELECT * FROM (SELECT path, version, 9223372036854775807 AS sequence, size, updated_at, NULL AS noncurrent_at, \
        0 AS is_delete_marker, extra FROM storage_objects \
        WHERE bucket_id = :bucket AND path >= :low AND path < :until ORDER BY path LIMIT :limit) \
    UNION ALL SELECT * FROM (SELECT path, version, sequence, size, updated_at, noncurrent_at, is_delete_marker, extra \
        FROM storage_object_versions WHERE bucket_id = :bucket AND path = :from AND sequence < :below \
        ORDER BY path, sequence DESC LIMIT :limit) \
    UNION ALL SELECT * FROM (SELECT path, version, sequence, size, updated_at, noncurrent_at, is_delete_marker, extra \
        FROM storage_object_versions WHERE bucket_id = :bucket AND path >= :low AND path < :until \
        ORDER BY path, sequence DESC LIMIT :limit) \
    ORDER BY path, sequence DESC LIMIT :limit";

/// Versions, by path and the newest first.
pub(in crate::executor::sqlite) fn versions(
    conn: &Connection,
    access: &Access,
    bucket: &BucketName,
    scan: &AgedScan,
) -> Result<Vec<AgedVersion>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    // Both tables are seen as they are at one moment.
    let _snapshot = conn.unchecked_transaction()?;
    let mut statement = conn.prepare_cached(VERSIONS)?;
    let low = if scan.below.is_some() { just_after(&scan.from) } else { scan.from.clone() };
    let until = scan.until.clone().unwrap_or_else(above_all);
    let mut rows = statement.query(named_params! {
        ":bucket": bucket.as_str(), ":from": scan.from, ":low": low, ":below": scan.below, ":until": until,
        ":limit": scan.limit,
    })?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let noncurrent: Option<i64> = row.get(5)?;
        let extra: ObjectExtra = json(row, 7, "extra")?;
        found.push(AgedVersion {
            path: ObjectPath::parse(str(row, 0)?)?,
            version: uuid(row, 1)?,
            sequence: row.get(2)?,
            size: count(row, 3)?,
            written_at: time(row, 4)?,
            noncurrent_at: noncurrent.map(|_| time(row, 5)).transpose()?,
            is_delete_marker: row.get(6)?,
            tags: extra.tags,
        });
    }
    Ok(found)
}

/// Unfinished uploads that are old enough, by path and identity.
pub(in crate::executor::sqlite) fn uploads(
    conn: &Connection,
    access: &Access,
    bucket: &BucketName,
    scan: &UploadScan,
) -> Result<Vec<AgedUpload>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let mut statement = conn.prepare_cached(
        "SELECT id, path, held_bytes FROM multipart_uploads WHERE bucket_id = :bucket \
         AND (path, id) > (:path, :id) AND path < :until AND ended = 0 AND created_at <= :before \
         ORDER BY path, id LIMIT :limit",
    )?;
    let (path, id) = match &scan.after {
        Some((path, id)) => (path.as_str(), text(*id)),
        None => (scan.prefix.as_str(), String::new()),
    };
    let mut rows = statement.query(named_params! {
        ":bucket": bucket.as_str(), ":path": path, ":id": id, ":before": micros(scan.before),
        ":until": successor(&scan.prefix).unwrap_or_else(above_all), ":limit": scan.limit,
    })?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(AgedUpload {
            id: uuid(row, 0)?,
            path: ObjectPath::parse(str(row, 1)?)?,
            size: count(row, 2)?,
        });
    }
    Ok(found)
}
