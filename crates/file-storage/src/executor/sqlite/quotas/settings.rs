//! Quotas as they are set: by the configuration and by those who may, and shown.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, named_params};
use uuid::Uuid;

use super::tell_set;
use crate::bucket::{BucketName, BucketUpdate};
use crate::executor::bounds::successor;
use crate::executor::quota::too_many_folders;
use crate::executor::sqlite::buckets;
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::rls::{Caller, text};
use crate::executor::sqlite::rows::{count, int, micros, now, opt_count, str};
use crate::permissions::{Access, Permission};
use crate::quota::{FolderPath, MAX_FOLDER_QUOTAS, Quota, QuotaEnforcement, QuotaScope, QuotaSettings};

/// Has the configuration's word hold.
pub(in crate::executor::sqlite) fn configure(
    conn: &Connection,
    settings: &QuotaSettings,
) -> Result<(), Fault> {
    conn.prepare_cached(
        "INSERT INTO storage_quota_settings (id, enforcement, default_user_bytes, configured_global_bytes) \
         VALUES (1, :enforcement, :user, :global) ON CONFLICT (id) DO UPDATE SET \
         enforcement = excluded.enforcement, default_user_bytes = excluded.default_user_bytes, \
         configured_global_bytes = excluded.configured_global_bytes",
    )?
    .execute(named_params! {
        ":enforcement": settings.enforcement.as_str(), ":user": settings.default_user.map(int),
        ":global": settings.global.map(int),
    })?;
    count_everything(conn)
}

/// What holds of the configuration's word. Without a row, all is as if nothing were configured.
pub(in crate::executor::sqlite) fn configured(conn: &Connection) -> Result<QuotaSettings, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT enforcement, default_user_bytes, configured_global_bytes FROM storage_quota_settings",
    )?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else { return Ok(QuotaSettings::default()) };
    Ok(QuotaSettings {
        enforcement: QuotaEnforcement::from_word(str(row, 0)?).unwrap_or_default(),
        default_user: opt_count(row, 1)?,
        global: opt_count(row, 2)?,
    })
}

/// Counts everything while there is a quota for it.
fn count_everything(conn: &Connection) -> Result<(), Fault> {
    conn.prepare_cached(
        "UPDATE storage_quota_settings SET global_used_bytes = CASE \
         WHEN coalesce(global_bytes, configured_global_bytes) IS NOT NULL THEN \
         (SELECT coalesce(sum(total_bytes + unfinished_bytes), 0) FROM storage_buckets) END",
    )?
    .execute([])?;
    Ok(())
}

/// Bytes in a folder: of objects, of old versions and of unfinished uploads.
const USED: &str = "\
    (SELECT coalesce(sum(size), 0) FROM storage_objects \
        WHERE bucket_id = :bucket AND path >= :from AND path < :to) \
    + (SELECT coalesce(sum(size), 0) FROM storage_object_versions \
        WHERE bucket_id = :bucket AND path >= :from AND path < :to AND is_delete_marker = 0) \
    + (SELECT coalesce(sum(held_bytes), 0) FROM multipart_uploads \
        WHERE bucket_id = :bucket AND path >= :from AND path < :to)";

/// A quota and what is in use of it.
pub(in crate::executor::sqlite) fn show(
    conn: &Connection,
    access: &Access,
    scope: &QuotaScope,
) -> Result<Quota, Fault> {
    let quota = |limit, used, is_default| Quota { scope: scope.clone(), limit, used, is_default };
    match scope {
        QuotaScope::Global => {
            access.on_rows(Permission::Maintain, None)?;
            let mut statement = conn.prepare_cached(
                "SELECT s.global_bytes, s.configured_global_bytes, \
                 (SELECT coalesce(sum(total_bytes + unfinished_bytes), 0) FROM storage_buckets) \
                 FROM (SELECT 1) LEFT JOIN storage_quota_settings s ON true",
            )?;
            let mut rows = statement.query([])?;
            let Some(row) = rows.next()? else { return Ok(quota(None, 0, true)) };
            let (own, configured) = (opt_count(row, 0)?, opt_count(row, 1)?);
            Ok(quota(own.or(configured), count(row, 2)?, own.is_none()))
        }
        QuotaScope::User(user) => {
            let context = access.on_rows(Permission::UsageRead, None)?;
            if !context.is_service() && context.user_id() != Some(*user) {
                access.on_rows(Permission::Maintain, None)?;
            }
            let mut statement = conn.prepare_cached(
                "SELECT u.quota_bytes, (SELECT default_user_bytes FROM storage_quota_settings), \
                 coalesce(u.total_bytes + u.unfinished_bytes, 0) \
                 FROM (SELECT 1) LEFT JOIN storage_usage u ON u.user_id = :user",
            )?;
            let mut rows = statement.query(named_params! { ":user": text(*user) })?;
            let Some(row) = rows.next()? else { return Ok(quota(None, 0, true)) };
            let (own, configured) = (opt_count(row, 0)?, opt_count(row, 1)?);
            Ok(quota(own.or(configured), count(row, 2)?, own.is_none()))
        }
        QuotaScope::Bucket(name) => {
            let bucket = buckets::reach(conn, access, Permission::BucketUpdate, name)?;
            Ok(quota(bucket.config.quota_bytes, bucket.used_bytes(), false))
        }
        QuotaScope::Folder(name, folder) => {
            buckets::reach(conn, access, Permission::BucketUpdate, name)?;
            static FOLDER: LazyLock<String> = LazyLock::new(|| {
                format!(
                    "SELECT q.quota_bytes, coalesce(q.used_bytes, {USED}) FROM (SELECT 1) \
                     LEFT JOIN storage_folder_quotas q ON q.bucket_id = :bucket AND q.prefix = :from"
                )
            });
            let mut statement = conn.prepare_cached(&FOLDER)?;
            let mut rows = statement.query(named_params! {
                ":bucket": name.as_str(), ":from": folder.as_str(), ":to": end(folder),
            })?;
            let Some(row) = rows.next()? else { return Ok(quota(None, 0, false)) };
            Ok(quota(opt_count(row, 0)?, count(row, 1)?, false))
        }
    }
}

/// What comes after all paths of a folder.
fn end(folder: &FolderPath) -> String {
    // It ends with a slash, after which there is more.
    successor(folder.as_str()).unwrap_or_default()
}

const ALL: &str = "\
    SELECT 'global' AS scope, '' AS name, '' AS prefix, coalesce(global_bytes, configured_global_bytes) AS quota, \
        coalesce(global_used_bytes, 0), global_bytes IS NULL, 0 AS turn FROM storage_quota_settings \
        WHERE :service AND coalesce(global_bytes, configured_global_bytes) IS NOT NULL \
    UNION ALL \
    SELECT 'user', user_id, '', quota_bytes, total_bytes + unfinished_bytes, false, 1 FROM storage_usage \
        WHERE quota_bytes IS NOT NULL AND (:service OR user_id = :uid) \
    UNION ALL \
    SELECT 'bucket', id, '', quota_bytes, total_bytes + unfinished_bytes, false, 2 FROM storage_buckets \
        WHERE quota_bytes IS NOT NULL AND (:service OR owner_id = :uid) \
    UNION ALL \
    SELECT 'folder', q.bucket_id, q.prefix, q.quota_bytes, q.used_bytes, false, 3 FROM storage_folder_quotas q \
        JOIN storage_buckets b ON b.id = q.bucket_id WHERE :service OR b.owner_id = :uid \
    ORDER BY turn, name, prefix LIMIT :limit";

/// The quotas that are set, of which the caller is told.
pub(in crate::executor::sqlite) fn all(
    conn: &Connection,
    access: &Access,
    limit: u32,
) -> Result<Vec<Quota>, Fault> {
    access.on_rows(Permission::BucketUpdate, None)?;
    let context = access.on_rows(Permission::UsageRead, None)?;
    let caller = Caller::from(context);
    let mut statement = conn.prepare_cached(ALL)?;
    let mut rows = statement
        .query(named_params! { ":service": context.is_service(), ":uid": caller.uid, ":limit": limit })?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let name = str(row, 1)?;
        let scope = match str(row, 0)? {
            "global" => QuotaScope::Global,
            "user" => QuotaScope::User(Uuid::try_parse(name).map_err(|_| Fault::corrupt("user"))?),
            "bucket" => QuotaScope::Bucket(BucketName::parse(name)?),
            _ => QuotaScope::Folder(BucketName::parse(name)?, FolderPath::parse(str(row, 2)?)?),
        };
        all.push(Quota { scope, limit: opt_count(row, 3)?, used: count(row, 4)?, is_default: row.get(5)? });
    }
    Ok(all)
}

/// Sets a quota, or takes it off.
pub(in crate::executor::sqlite) fn set(
    conn: &Connection,
    access: &Access,
    scope: &QuotaScope,
    limit: Option<u64>,
) -> Result<Quota, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let (bytes, now) = (limit.map(int), micros(now()));
    match scope {
        QuotaScope::Global => {
            conn.prepare_cached(
                "INSERT INTO storage_quota_settings (id, global_bytes) VALUES (1, :bytes) \
                 ON CONFLICT (id) DO UPDATE SET global_bytes = excluded.global_bytes",
            )?
            .execute(named_params! { ":bytes": bytes })?;
            count_everything(conn)?;
        }
        QuotaScope::User(user) => {
            conn.prepare_cached(
                "INSERT INTO storage_usage (id, user_id, quota_bytes, last_calculated_at, created_at, updated_at) \
                 VALUES (:id, :user, :bytes, :now, :now, :now) ON CONFLICT (user_id) DO UPDATE SET \
                 quota_bytes = excluded.quota_bytes, updated_at = excluded.updated_at",
            )?
            .execute(named_params! {
                ":id": text(Uuid::now_v7()), ":user": text(*user), ":bytes": bytes, ":now": now,
            })?;
        }
        QuotaScope::Bucket(name) => {
            let update = BucketUpdate { quota_bytes: Some(limit), ..BucketUpdate::default() };
            buckets::update(conn, access, name, &update)?;
        }
        QuotaScope::Folder(name, folder) => {
            buckets::reach(conn, access, Permission::BucketUpdate, name)?;
            match bytes {
                Some(bytes) => {
                    let (used, before) = set_folder(conn, (name, folder), bytes, now)?;
                    tell_set(conn, scope, used, (before, limit))?;
                }
                None => {
                    conn.prepare_cached(
                        "DELETE FROM storage_folder_quotas WHERE bucket_id = :bucket AND prefix = :prefix",
                    )?
                    .execute(named_params! { ":bucket": name.as_str(), ":prefix": folder.as_str() })?;
                }
            }
        }
    }
    show(conn, access, scope)
}

/// Sets a folder's quota; what is in use, and the limit that there was before. It is counted where it has none yet, and only then: that
/// takes as long as the folder is big.
fn set_folder(
    conn: &Connection,
    (bucket, folder): (&BucketName, &FolderPath),
    bytes: i64,
    now: i64,
) -> Result<(u64, Option<u64>), Fault> {
    let there: Option<(i64, i64)> = conn
        .prepare_cached(
            "SELECT used_bytes, quota_bytes FROM storage_folder_quotas \
             WHERE bucket_id = :bucket AND prefix = :prefix",
        )?
        .query_row(named_params! { ":bucket": bucket.as_str(), ":prefix": folder.as_str() }, |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let number = |bytes: i64| u64::try_from(bytes).unwrap_or(0);
    if let Some((used, before)) = there {
        conn.prepare_cached(
            "UPDATE storage_folder_quotas SET quota_bytes = :bytes, updated_at = :now \
             WHERE bucket_id = :bucket AND prefix = :prefix",
        )?
        .execute(named_params! {
            ":bytes": bytes, ":now": now, ":bucket": bucket.as_str(), ":prefix": folder.as_str(),
        })?;
        return Ok((number(used), Some(number(before))));
    }
    static INSERT: LazyLock<String> = LazyLock::new(|| {
        format!(
            "INSERT INTO storage_folder_quotas (bucket_id, prefix, quota_bytes, used_bytes, created_at, updated_at) \
             VALUES (:bucket, :from, :bytes, {USED}, :now, :now) RETURNING used_bytes"
        )
    });
    let used: i64 = conn.prepare_cached(&INSERT)?.query_row(
        named_params! {
            ":bucket": bucket.as_str(), ":from": folder.as_str(), ":to": end(folder), ":bytes": bytes, ":now": now,
        },
        |row| row.get(0),
    )?;
    let folders: i64 = conn
        .prepare_cached("SELECT count(*) FROM storage_folder_quotas WHERE bucket_id = :bucket")?
        .query_row(named_params! { ":bucket": bucket.as_str() }, |row| row.get(0))?;
    if folders > int(MAX_FOLDER_QUOTAS) {
        return Err(too_many_folders().into());
    }
    Ok((number(used), None))
}

/// Sets the counter of a folder, or of everything, right.
pub(in crate::executor::sqlite) fn set_used(
    conn: &Connection,
    scope: &str,
    name: &str,
    bytes: i64,
) -> Result<(), Fault> {
    if scope == "global" {
        conn.prepare_cached("UPDATE storage_quota_settings SET global_used_bytes = :bytes")?
            .execute(named_params! { ":bytes": bytes })?;
        return Ok(());
    }
    let (bucket, prefix) = name.split_once('/').ok_or_else(|| Fault::corrupt("folder"))?;
    conn.prepare_cached(
        "UPDATE storage_folder_quotas SET used_bytes = :bytes WHERE bucket_id = :bucket AND prefix = :prefix",
    )?
    .execute(named_params! { ":bytes": bytes, ":bucket": bucket, ":prefix": prefix })?;
    Ok(())
}
