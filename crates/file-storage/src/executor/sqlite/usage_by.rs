//! What objects take, by a look at all of them: how much, how many, how old. Who asks ends it when its time is over.

use rusqlite::{Connection, ErrorCode, Row, ToSql};

use super::errors::Fault;
use super::rls::text;
use super::rows::{count, time};
use crate::errors::StorageError;
use crate::executor::{UsageBy, UsageGroup};
use crate::permissions::{Access, Permission};

/// Objects, and older versions of them, that answer to a condition: by what, at most so many (`?1`).
pub(super) fn grouped(name: &str, condition: &str) -> String {
    format!(
        "SELECT name, sum(files), sum(bytes), sum(kept), min(oldest), max(newest) FROM ( \
         SELECT {name} AS name, count(*) AS files, coalesce(sum(size), 0) AS bytes, 0 AS kept, \
            min(created_at) AS oldest, max(created_at) AS newest FROM storage_objects WHERE {condition} GROUP BY 1 \
         UNION ALL \
         SELECT {name}, 0, 0, coalesce(sum(size), 0), NULL, NULL FROM storage_object_versions \
            WHERE is_delete_marker = 0 AND {condition} GROUP BY 1) AS found \
         GROUP BY name ORDER BY sum(bytes) + sum(kept) DESC, name LIMIT ?1"
    )
}

/// By where the bytes of objects and of older versions are. What is of one object counts as one, where its first bytes are.
const BY_PROVIDER: &str = "SELECT s.provider, count(*) FILTER (WHERE s.ordinal = 0 AND o.version IS NOT NULL), \
         coalesce(sum(s.size) FILTER (WHERE o.version IS NOT NULL), 0), \
         coalesce(sum(s.size) FILTER (WHERE o.version IS NULL), 0), min(o.created_at), max(o.created_at) \
     FROM storage_segments s LEFT JOIN storage_objects o ON o.version = s.version \
     GROUP BY s.provider ORDER BY sum(s.size) DESC, s.provider LIMIT ?1";

/// What there is, by name.
pub(super) fn groups(
    conn: &Connection,
    access: &Access,
    by: &UsageBy,
    limit: u32,
) -> Result<Vec<UsageGroup>, Fault> {
    let asked = match by {
        UsageBy::Provider => Permission::Maintain,
        UsageBy::User | UsageBy::Bucket | UsageBy::Folder(..) => Permission::UsageRead,
    };
    let context = access.on_rows(asked, None)?;
    let own = context.user_id().map(text);
    let whose = if context.is_service() { "" } else { "owner_id = ?2 AND " };
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(limit)];
    if !context.is_service() {
        values.push(Box::new(own));
    }
    let sql = match by {
        UsageBy::User => grouped("owner_id", &format!("{whose}true")),
        UsageBy::Bucket => grouped("bucket_id", &format!("{whose}true")),
        UsageBy::Provider => BY_PROVIDER.to_owned(),
        UsageBy::Folder(bucket, folder) => {
            let (bucket, from, until) = UsageBy::range(bucket, folder.as_ref());
            // A folder's paths are a range, which indexes know.
            let at = values.len() + 1;
            let range = format!("{whose}bucket_id = ?{at} AND path >= ?{} AND path < ?{}", at + 1, at + 2);
            values.extend([Box::new(bucket) as Box<dyn ToSql>, Box::new(from), Box::new(until)]);
            grouped(&format!("?{at}"), &range)
        }
    };
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(timed_out)? {
        found.push(group(row)?);
    }
    Ok(found)
}

/// What a look failed at: its time is over, or something else.
fn timed_out(error: rusqlite::Error) -> Fault {
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => {
            StorageError::OperationTimeout { operation: "usage_by" }.into()
        }
        _ => error.into(),
    }
}

fn group(row: &Row<'_>) -> Result<UsageGroup, Fault> {
    let opt_time = |at| match row.get::<_, Option<i64>>(at)? {
        Some(_) => time(row, at).map(Some),
        None => Ok(None),
    };
    Ok(UsageGroup {
        name: row.get(0)?,
        file_count: count(row, 1)?,
        object_bytes: count(row, 2)?,
        version_bytes: count(row, 3)?,
        oldest: opt_time(4)?,
        newest: opt_time(5)?,
    })
}
