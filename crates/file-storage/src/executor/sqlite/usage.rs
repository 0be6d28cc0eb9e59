//! Usage: what the counters say, and whether a recount confirms it.

use rusqlite::{Connection, named_params};
use uuid::Uuid;

use super::errors::Fault;
use super::quotas;
use super::rls::{Caller, builtin, text};
use super::rows::{count, int, micros, now, opt_count, opt_uuid, str};
use crate::executor::{UsageDifference, UserUsage};
use crate::permissions::{Access, Permission};

const USAGE: &str = "u.user_id, u.total_bytes, u.file_count, u.quota_bytes, u.unfinished_bytes";

fn usage(row: &rusqlite::Row<'_>) -> Result<UserUsage, Fault> {
    Ok(UserUsage {
        user_id: opt_uuid(row, 0)?,
        total_bytes: count(row, 1)?,
        file_count: count(row, 2)?,
        quota_bytes: opt_count(row, 3)?,
        unfinished_bytes: count(row, 4)?,
    })
}

/// The caller's own.
pub(super) fn own(conn: &Connection, access: &Access) -> Result<UserUsage, Fault> {
    let context = access.on_rows(Permission::UsageRead, None)?;
    let caller = Caller::from(context);
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {USAGE} FROM storage_usage u WHERE {}",
        builtin(Permission::UsageRead)
    ))?;
    let mut rows = statement.query(named_params! { ":role": caller.role, ":uid": caller.uid })?;
    match rows.next()? {
        Some(row) => usage(row),
        None => {
            let user_id = context.user_id();
            Ok(UserUsage { user_id, total_bytes: 0, file_count: 0, quota_bytes: None, unfinished_bytes: 0 })
        }
    }
}

/// Everybody's, those that use most first.
pub(super) fn all(conn: &Connection, access: &Access, limit: u32) -> Result<Vec<UserUsage>, Fault> {
    let caller = Caller::from(access.on_rows(Permission::Maintain, None)?);
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {USAGE} FROM storage_usage u WHERE {} ORDER BY u.total_bytes DESC, u.user_id LIMIT :limit",
        builtin(Permission::Maintain)
    ))?;
    let mut rows = statement.query(named_params! { ":role": caller.role, ":limit": limit })?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(usage(row)?);
    }
    Ok(all)
}

/// Counters and recount side by side, where they differ. A folder's paths are a range, which indexes know: its prefix ends with
/// a slash, after which `0` comes next.
pub(super) const DIFFERENCES: &str = "\
    WITH held AS ( \
        SELECT bucket_id, owner_id, count(*) AS files, sum(size) AS bytes, 0 AS pending \
        FROM storage_objects GROUP BY bucket_id, owner_id \
        UNION ALL \
        SELECT bucket_id, owner_id, 0, sum(size), 0 FROM storage_object_versions \
        WHERE is_delete_marker = 0 GROUP BY bucket_id, owner_id \
        UNION ALL \
        SELECT m.bucket_id, m.owner_id, 0, 0, sum(p.size) FROM multipart_uploads m \
        JOIN multipart_parts p ON p.upload_id = m.id GROUP BY m.bucket_id, m.owner_id), \
    sides AS ( \
        SELECT 'bucket' AS scope, b.id AS name, b.total_bytes, b.file_count, b.unfinished_bytes, \
            coalesce(c.bytes, 0) AS bytes, coalesce(c.files, 0) AS files, \
            coalesce(c.pending, 0) AS pending \
        FROM storage_buckets b LEFT JOIN ( \
            SELECT bucket_id, sum(files) AS files, sum(bytes) AS bytes, sum(pending) AS pending FROM held \
            GROUP BY bucket_id) c ON c.bucket_id = b.id \
        UNION ALL \
        SELECT 'folder', q.bucket_id || '/' || q.prefix, q.used_bytes, 0, 0, \
            (SELECT coalesce(sum(o.size), 0) FROM storage_objects o WHERE o.bucket_id = q.bucket_id \
                AND o.path >= q.prefix AND o.path < substr(q.prefix, 1, length(q.prefix) - 1) || '0') \
            + (SELECT coalesce(sum(v.size), 0) FROM storage_object_versions v WHERE v.bucket_id = q.bucket_id \
                AND v.is_delete_marker = 0 AND v.path >= q.prefix AND v.path < substr(q.prefix, 1, length(q.prefix) - 1) || '0') \
            + (SELECT coalesce(sum(p.size), 0) FROM multipart_uploads m JOIN multipart_parts p ON p.upload_id = m.id \
                WHERE m.bucket_id = q.bucket_id AND m.path >= q.prefix AND m.path < substr(q.prefix, 1, length(q.prefix) - 1) || '0'), 0, 0 \
        FROM storage_folder_quotas q \
        UNION ALL \
        SELECT 'global', '', s.global_used_bytes, 0, 0, \
            (SELECT coalesce(sum(bytes), 0) + coalesce(sum(pending), 0) FROM held), 0, 0 \
        FROM storage_quota_settings s WHERE s.global_used_bytes IS NOT NULL \
        UNION ALL \
        SELECT 'user', coalesce(u.user_id, c.owner_id), coalesce(u.total_bytes, 0), \
            coalesce(u.file_count, 0), coalesce(u.unfinished_bytes, 0), \
            coalesce(c.bytes, 0), coalesce(c.files, 0), coalesce(c.pending, 0) \
        FROM storage_usage u FULL JOIN ( \
            SELECT owner_id, sum(files) AS files, sum(bytes) AS bytes, sum(pending) AS pending FROM held \
            WHERE owner_id IS NOT NULL GROUP BY owner_id) c \
            ON c.owner_id = u.user_id) \
    SELECT scope, name, total_bytes, bytes, file_count, files, unfinished_bytes, pending FROM sides \
    WHERE :role = 'service_role' AND (total_bytes <> bytes OR file_count <> files OR unfinished_bytes <> pending) \
    ORDER BY scope, name";

/// Counts anew and says where counters are wrong.
pub(super) fn differences(conn: &Connection, access: &Access) -> Result<Vec<UsageDifference>, Fault> {
    let caller = Caller::from(access.on_rows(Permission::Maintain, None)?);
    let mut statement = conn.prepare_cached(DIFFERENCES)?;
    let mut rows = statement.query(named_params! { ":role": caller.role })?;
    let mut differences = Vec::new();
    while let Some(row) = rows.next()? {
        differences.push(UsageDifference {
            scope: UsageDifference::scope(str(row, 0)?),
            name: str(row, 1)?.to_owned(),
            bytes: (count(row, 2)?, count(row, 3)?),
            files: (count(row, 4)?, count(row, 5)?),
            unfinished: (count(row, 6)?, count(row, 7)?),
        });
    }
    Ok(differences)
}

/// Counts anew, says where counters are wrong, and sets those right.
pub(super) fn repair(conn: &Connection, access: &Access) -> Result<Vec<UsageDifference>, Fault> {
    let differences = differences(conn, access)?;
    let now = micros(now());
    for wrong in &differences {
        let (files, bytes) = (int(wrong.files.1), int(wrong.bytes.1));
        let unfinished = int(wrong.unfinished.1);
        if let "folder" | "global" = wrong.scope {
            quotas::set_used(conn, wrong.scope, &wrong.name, bytes)?;
        } else if wrong.scope == "bucket" {
            conn.prepare_cached(
                "UPDATE storage_buckets SET file_count = :files, total_bytes = :bytes, \
                 unfinished_bytes = :unfinished WHERE id = :name",
            )?
            .execute(named_params! { ":files": files, ":bytes": bytes, ":unfinished": unfinished, ":name": wrong.name })?;
        } else {
            conn.prepare_cached(
                "INSERT INTO storage_usage \
                 (id, user_id, file_count, total_bytes, unfinished_bytes, last_calculated_at, created_at, \
                 updated_at) VALUES (:id, :name, :files, :bytes, :unfinished, :now, :now, :now) \
                 ON CONFLICT (user_id) DO UPDATE SET file_count = :files, total_bytes = :bytes, \
                 unfinished_bytes = :unfinished, last_calculated_at = :now, updated_at = :now",
            )?
            .execute(named_params! {
                ":id": text(Uuid::now_v7()), ":name": wrong.name, ":files": files, ":bytes": bytes,
                ":unfinished": unfinished, ":now": now,
            })?;
        }
    }
    Ok(differences)
}
