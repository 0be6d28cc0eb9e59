//! Quotas: what a write meets, and what an operation adds in sum. Those who set and look at them are in [`settings`].
//!
//! Triggers write the changes of folders and of everything into `quota_changes`, the ledger those of users and buckets that
//! may be a step towards their quotas. When an operation ends, [`settle`] adds them up: the net change alone is held to a
//! quota, and told of.

mod settings;

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use uuid::Uuid;

use super::errors::Fault;
use super::events;
use super::rls::text;
use super::rows::{count, now, opt_count, str};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::quota::{Limits, folder_name, set_step, step, warning};
use crate::path::ObjectPath;
use crate::quota::{QuotaEnforcement, QuotaScope};

pub(super) use settings::{all, configure, configured, set, set_used, show};

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
