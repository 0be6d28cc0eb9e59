//! Quotas: what a write meets, what an operation adds in sum, and those who set them.
//!
//! Triggers write the changes of folders and of everything into `quota_changes`, the ledger those of users and buckets that
//! may be a step towards their quotas. When an operation ends, [`settle`] adds them up: the net change alone is held to a
//! quota, and told of.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use uuid::Uuid;

use super::errors::Fault;
use super::rls::{Caller, text};
use super::rows::{count, int, micros, now, opt_count, str};
use super::{buckets, events};
use crate::bucket::{BucketName, BucketUpdate};
use crate::errors::StorageError;
use crate::executor::bounds::successor;
use crate::executor::quota::{Limits, folder_name, set_step, step, too_many_folders, warning};
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};
use crate::quota::{FolderPath, MAX_FOLDER_QUOTAS, Quota, QuotaEnforcement, QuotaScope, QuotaSettings};

/// The quota of a user, in a statement over `storage_usage`.
pub(super) const USER_QUOTA: &str =
    "coalesce(quota_bytes, (SELECT default_user_bytes FROM storage_quota_settings))";

/// What is done about a write that does not fit.
fn enforcement(conn: &Connection) -> Result<QuotaEnforcement, Fault> {
    let word: Option<String> = conn
        .prepare_cached("SELECT enforcement FROM storage_quota_settings")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(word.and_then(|word| QuotaEnforcement::from_word(&word)).unwrap_or_default())
}

/// The quotas over a path and of an owner, beside the bucket's.
pub(super) fn over(
    conn: &Connection,
    owner: Option<Uuid>,
    (bucket, path): (&BucketName, &ObjectPath),
) -> Result<Limits, Fault> {
    let mut limits = Limits::default();
    let mut default_user = None;
    let mut settings = conn.prepare_cached(
        "SELECT enforcement, default_user_bytes, global_used_bytes, coalesce(global_bytes, configured_global_bytes) \
         FROM storage_quota_settings",
    )?;
    if let Some(row) = settings.query([])?.next()? {
        limits.enforcement = QuotaEnforcement::from_word(str(row, 0)?).unwrap_or_default();
        default_user = opt_count(row, 1)?;
        limits.global = opt_count(row, 2)?.zip(opt_count(row, 3)?);
    }
    if let Some(owner) = owner {
        let mut usage = conn.prepare_cached(
            "SELECT total_bytes + unfinished_bytes, quota_bytes FROM storage_usage WHERE user_id = :user",
        )?;
        let mut rows = usage.query(named_params! { ":user": text(owner) })?;
        let (used, own) = match rows.next()? {
            Some(row) => (count(row, 0)?, opt_count(row, 1)?),
            None => (0, None),
        };
        limits.user = own.or(default_user).map(|limit| (used, limit));
    }
    let mut folders = conn.prepare_cached(
        "SELECT used_bytes, quota_bytes, prefix FROM storage_folder_quotas \
         WHERE bucket_id = :bucket AND substr(:path, 1, length(prefix)) = prefix",
    )?;
    let mut rows = folders.query(named_params! { ":bucket": bucket.as_str(), ":path": path.as_str() })?;
    while let Some(row) = rows.next()? {
        limits.folders.push((str(row, 2)?.to_owned(), (count(row, 0)?, count(row, 1)?)));
    }
    Ok(limits)
}

/// Refuses what brings a counter over its quota. `more` is the change, and what an error says was asked for.
pub(super) fn hold(
    conn: &Connection,
    (scope, name): (&'static str, &str),
    (total, limit): (i64, Option<i64>),
    (more, requested): (i64, u64),
) -> Result<(), Fault> {
    match limit {
        Some(limit) if more > 0 && total > limit && enforcement(conn)? == QuotaEnforcement::Enforce => {
            let used = u64::try_from(total.saturating_sub(more)).unwrap_or(0);
            let limit = u64::try_from(limit).unwrap_or(0);
            Err(StorageError::QuotaExceeded { scope, name: name.into(), used, limit, requested }.into())
        }
        _ => Ok(()),
    }
}

/// Writes down what may be a step towards the quota of a user or bucket: what comes above the first one, what goes, and whatever
/// follows on that, as else the sum would say that less has come.
pub(super) fn note(
    conn: &Connection,
    (scope, name, bucket): (&str, &str, &str),
    (total, limit): (i64, Option<i64>),
    more: i64,
) -> Result<(), Fault> {
    match limit {
        Some(limit) if more < 0 || more > 0 && (step(total, limit) > 0 || is_noted(conn, scope, name)?) => {
            conn.prepare_cached(
                "INSERT INTO quota_changes (scope, name, bucket_id, bytes) VALUES (:scope, :name, :bucket, :bytes)",
            )?
            .execute(named_params! { ":scope": scope, ":name": name, ":bucket": bucket, ":bytes": more })?;
            Ok(())
        }
        _ => Ok(()),
    }
}

fn is_noted(conn: &Connection, scope: &str, name: &str) -> Result<bool, Fault> {
    let sql = "SELECT EXISTS (SELECT 1 FROM quota_changes WHERE scope = :scope AND name = :name)";
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_row(named_params! { ":scope": scope, ":name": name }, |row| row.get(0))?)
}

/// What an operation has changed of one quota, in sum.
struct Change {
    scope: String,
    name: String,
    bucket: String,
    bytes: i64,
}

/// Counts what an operation has changed for folders and for everything, holds it to their quotas, and tells of quotas that
/// fill up.
pub(super) fn settle(conn: &Connection) -> Result<(), Fault> {
    let is_still: bool = conn
        .prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM quota_changes)")?
        .query_row([], |row| row.get(0))?;
    if is_still {
        return Ok(());
    }
    let mut sums = conn.prepare_cached(
        "SELECT scope, name, min(bucket_id), sum(bytes) FROM quota_changes \
         GROUP BY scope, name, CASE WHEN scope = 'folder' THEN bucket_id END HAVING sum(bytes) <> 0",
    )?;
    let changes = sums.query_map([], |row| {
        Ok(Change { scope: row.get(0)?, name: row.get(1)?, bucket: row.get(2)?, bytes: row.get(3)? })
    })?;
    let changes: Vec<Change> = changes.collect::<Result<_, _>>()?;
    conn.prepare_cached("DELETE FROM quota_changes")?.execute([])?;
    for change in &changes {
        settle_one(conn, change)?;
    }
    Ok(())
}

fn settle_one(conn: &Connection, change: &Change) -> Result<(), Fault> {
    let (bytes, name, bucket) = (change.bytes, change.name.as_str(), change.bucket.as_str());
    let counted = match change.scope.as_str() {
        "folder" => conn
            .prepare_cached(
                "UPDATE storage_folder_quotas SET used_bytes = used_bytes + :bytes \
                 WHERE bucket_id = :bucket AND prefix = :name RETURNING used_bytes, quota_bytes",
            )?
            .query_row(named_params! { ":bytes": bytes, ":bucket": bucket, ":name": name }, counted)
            .optional()?,
        "global" => conn
            .prepare_cached(
                "UPDATE storage_quota_settings SET global_used_bytes = global_used_bytes + :bytes \
                 WHERE global_used_bytes IS NOT NULL \
                 RETURNING global_used_bytes, coalesce(global_bytes, configured_global_bytes)",
            )?
            .query_row(named_params! { ":bytes": bytes }, counted)
            .optional()?,
        "user" => {
            static USER: LazyLock<String> = LazyLock::new(|| {
                format!(
                    "SELECT total_bytes + unfinished_bytes, {USER_QUOTA} FROM storage_usage WHERE user_id = :name"
                )
            });
            conn.prepare_cached(&USER)?.query_row(named_params! { ":name": name }, counted).optional()?
        }
        _ => conn
            .prepare_cached(
                "SELECT total_bytes + unfinished_bytes, quota_bytes FROM storage_buckets WHERE id = :name",
            )?
            .query_row(named_params! { ":name": name }, counted)
            .optional()?,
    };
    let Some((total, limit)) = counted else { return Ok(()) };
    let requested = u64::try_from(bytes).unwrap_or(0);
    match change.scope.as_str() {
        "folder" => {
            hold(conn, ("folder", &folder_name(bucket, name)), (total, limit), (bytes, requested))?;
        }
        "global" => hold(conn, ("global", ""), (total, limit), (bytes, requested))?,
        // Held to where they were counted.
        _ => {}
    }
    match limit {
        Some(limit) if step(total, limit) > step(total.saturating_sub(bytes), limit) && bytes > 0 => {
            warn(conn, change, (total, limit))
        }
        _ => Ok(()),
    }
}

fn counted(row: &Row<'_>) -> rusqlite::Result<(i64, Option<i64>)> {
    Ok((row.get(0)?, row.get(1)?))
}

/// Tells that a quota fills up.
fn warn(conn: &Connection, change: &Change, counted: (i64, i64)) -> Result<(), Fault> {
    if enforcement(conn)? == QuotaEnforcement::Off {
        return Ok(());
    }
    let owner = match change.scope.as_str() {
        "global" => None,
        "user" => Uuid::try_parse(&change.name).ok(),
        _ => owner_of(conn, &change.bucket)?,
    };
    let name = match change.scope.as_str() {
        "folder" => folder_name(&change.bucket, &change.name),
        _ => change.name.as_str().into(),
    };
    let payload = warning(&change.scope, &name, counted);
    events::quota(conn, (&change.bucket, owner), &payload, now())
}

fn owner_of(conn: &Connection, bucket: &str) -> Result<Option<Uuid>, Fault> {
    let owner = conn
        .prepare_cached("SELECT owner_id FROM storage_buckets WHERE id = :bucket")?
        .query_row(named_params! { ":bucket": bucket }, |row| row.get::<_, Option<String>>(0))
        .optional()?
        .flatten();
    Ok(owner.and_then(|owner| Uuid::try_parse(&owner).ok()))
}

/// Tells of a quota that was set, where it fills up by that: what is in use, and the limits before and after.
pub(super) fn tell_set(
    conn: &Connection,
    scope: &QuotaScope,
    used: u64,
    limits: (Option<u64>, Option<u64>),
) -> Result<(), Fault> {
    let Some(payload) = set_step(scope, used, limits) else { return Ok(()) };
    if enforcement(conn)? == QuotaEnforcement::Off {
        return Ok(());
    }
    match scope {
        QuotaScope::Bucket(bucket) | QuotaScope::Folder(bucket, _) => {
            let owner = owner_of(conn, bucket.as_str())?;
            events::quota(conn, (bucket.as_str(), owner), &payload, now())
        }
        QuotaScope::User(_) | QuotaScope::Global => Ok(()),
    }
}

/// Has the configuration's word hold.
pub(super) fn configure(conn: &Connection, settings: &QuotaSettings) -> Result<(), Fault> {
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
pub(super) fn configured(conn: &Connection) -> Result<QuotaSettings, Fault> {
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
pub(super) fn show(conn: &Connection, access: &Access, scope: &QuotaScope) -> Result<Quota, Fault> {
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
pub(super) fn all(conn: &Connection, access: &Access, limit: u32) -> Result<Vec<Quota>, Fault> {
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
pub(super) fn set(
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
pub(super) fn set_used(conn: &Connection, scope: &str, name: &str, bytes: i64) -> Result<(), Fault> {
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
