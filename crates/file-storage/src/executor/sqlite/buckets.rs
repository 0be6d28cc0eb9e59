//! Buckets: created, shown, listed, changed, emptied, deleted.

use std::sync::LazyLock;

use rusqlite::{Connection, named_params};

use super::errors::Fault;
use super::rls::{Caller, builtin, is_true, refused, text};
use super::rows::{self, BUCKET, BUCKET_WIDTH, OBJECT, int, micros, now};
use super::rules::{RoleRules, Rules, Statement};
use super::{emptying, events, history, multipart, quotas, removal};
use crate::bucket::{Bucket, BucketConfig, BucketName, BucketUpdate, MimePattern};
use crate::errors::StorageError;
use crate::executor::{BucketListing, BucketSort, Emptied, SortOrder, decide};
use crate::multipart::GoneUpload;
use crate::permissions::{Access, Permission, RlsContext};
use crate::quota::QuotaScope;
use crate::versions::Versioning;

/// Creates a bucket that belongs to the caller's user.
pub(super) fn create(
    conn: &Connection,
    access: &Access,
    name: &BucketName,
    config: &BucketConfig,
) -> Result<Bucket, Fault> {
    let context = access.on_rows(Permission::BucketCreate, Some(name))?;
    let now = now();
    let bucket = Bucket::new(name, context.user_id(), config, now);
    static INSERT: LazyLock<String> = LazyLock::new(|| {
        format!(
            "INSERT INTO storage_buckets (id, uuid, owner_id, policy, allowed_mime_types, max_file_size, \
             quota_bytes, versioning, created_at, updated_at) \
             SELECT :id, :uuid, :owner, :policy, :mimes, :max, :quota, :versioning, :now, :now WHERE {} \
             ON CONFLICT (id) DO NOTHING",
            builtin(Permission::BucketCreate)
        )
    });
    let made = conn.prepare_cached(&INSERT)?.execute(named_params! {
        ":id": name.as_str(), ":uuid": text(bucket.uuid), ":owner": bucket.owner_id.map(text),
        ":policy": config.policy.as_str(), ":mimes": mimes(config.allowed_mime_types.as_deref()),
        ":max": int(config.max_file_size), ":quota": config.quota_bytes.map(int),
        ":versioning": config.versioning.as_str(),
        ":now": micros(now), ":role": context.role().as_str(),
    })?;
    if made == 0 {
        return Err(StorageError::BucketExists { bucket: name.clone() }.into());
    }
    events::bucket(conn, "storage.bucket.created", &bucket, now)?;
    Ok(bucket)
}

/// Shows a bucket.
pub(super) fn show(conn: &Connection, access: &Access, name: &BucketName) -> Result<Bucket, Fault> {
    reach(conn, access, Permission::BucketRead, name)
}

/// The bucket, if the permission holds for it.
pub(super) fn reach(
    conn: &Connection,
    access: &Access,
    permission: Permission,
    name: &BucketName,
) -> Result<Bucket, Fault> {
    let context = access.on_rows(permission, Some(name))?;
    let seen = look(conn, context, permission, name)?;
    Ok(decide::reach(context, permission, name, seen)?)
}

/// A bucket, and whether the permission's predicate holds for it.
pub(super) fn look(
    conn: &Connection,
    context: &RlsContext,
    permission: Permission,
    name: &BucketName,
) -> Result<Option<(Bucket, bool)>, Fault> {
    static READ: LazyLock<String> = LazyLock::new(|| one(Permission::BucketRead));
    static UPDATE: LazyLock<String> = LazyLock::new(|| one(Permission::BucketUpdate));
    let sql = match permission {
        Permission::BucketUpdate | Permission::BucketDelete => &UPDATE,
        _ => &READ,
    };
    let caller = Caller::from(context);
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement
        .query(named_params! { ":bucket": name.as_str(), ":role": caller.role, ":uid": caller.uid })?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some((rows::bucket(row, 0)?, row.get(BUCKET_WIDTH)?)))
}

fn one(permission: Permission) -> String {
    format!("SELECT {BUCKET}, {} FROM storage_buckets b WHERE b.id = :bucket", is_true(builtin(permission)))
}

/// Lists the buckets that the caller may see.
pub(super) fn list(
    conn: &Connection,
    access: &Access,
    listing: &BucketListing,
) -> Result<Vec<Bucket>, Fault> {
    let caller = Caller::from(access.on_rows(Permission::BucketRead, None)?);
    let column = match listing.sort.0 {
        BucketSort::Name => "b.id",
        BucketSort::CreatedAt => "b.created_at",
        BucketSort::UpdatedAt => "b.updated_at",
    };
    let way = match listing.sort.1 {
        SortOrder::Ascending => "ASC",
        SortOrder::Descending => "DESC",
    };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {BUCKET} FROM storage_buckets b WHERE {} AND instr(b.id, :search) > 0 \
         AND b.id >= :prefix AND substr(b.id, 1, length(:prefix)) = :prefix AND b.id > :after \
         AND (:of_user IS NULL OR b.owner_id = :of_user OR b.owner_id IS NULL) \
         ORDER BY {column} {way}, b.id {way} LIMIT :limit OFFSET :offset",
        builtin(Permission::BucketRead)
    ))?;
    let mut rows = statement.query(named_params! {
        ":role": caller.role, ":uid": caller.uid, ":search": listing.search,
        ":prefix": listing.prefix, ":after": listing.after,
        ":of_user": listing.of_user.map(text), ":limit": listing.limit, ":offset": int(listing.offset),
    })?;
    let mut buckets = Vec::new();
    while let Some(row) = rows.next()? {
        buckets.push(rows::bucket(row, 0)?);
    }
    Ok(buckets)
}

/// Changes a bucket.
pub(super) fn update(
    conn: &Connection,
    access: &Access,
    name: &BucketName,
    update: &BucketUpdate,
) -> Result<Bucket, Fault> {
    let mut bucket = reach(conn, access, Permission::BucketUpdate, name)?;
    let (now, before) = (now(), bucket.config.quota_bytes);
    bucket.update(access.on_rows(Permission::BucketUpdate, Some(name))?, update, now)?;
    conn.prepare_cached(
        "UPDATE storage_buckets SET policy = :policy, allowed_mime_types = :mimes, max_file_size = :max, \
         quota_bytes = :quota, versioning = :versioning, updated_at = :now WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": name.as_str(), ":policy": bucket.config.policy.as_str(),
        ":mimes": mimes(bucket.config.allowed_mime_types.as_deref()),
        ":max": int(bucket.config.max_file_size), ":quota": bucket.config.quota_bytes.map(int),
        ":versioning": bucket.config.versioning.as_str(), ":now": micros(now),
    })?;
    events::bucket(conn, "storage.bucket.updated", &bucket, now)?;
    let limits = (before, bucket.config.quota_bytes);
    quotas::tell_set(conn, &QuotaScope::Bucket(name.clone()), bucket.used_bytes(), limits)?;
    Ok(bucket)
}

/// Deletes up to `limit` objects and versions; gives them.
pub(super) fn empty(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    name: &BucketName,
    limit: u32,
) -> Result<Vec<Emptied>, Fault> {
    let bucket = reach(conn, access, Permission::BucketUpdate, name)?;
    let keeps = bucket.config.versioning != Versioning::Off;
    // Old versions first: what is under an object must not come up when it goes.
    let mut gone = if keeps { emptying::versions(conn, rules, access, name, limit)? } else { Vec::new() };
    let limit = limit.saturating_sub(u32::try_from(gone.len()).unwrap_or(u32::MAX));
    let context = access.on_rows(Permission::ObjectDelete, Some(name))?;
    let caller = Caller::under(rules, context);
    let mut doomed = Vec::new();
    let mut statement = conn.prepare_cached(rules.of(context).sql(Statement::Some, some_sql))?;
    let mut rows = statement.query(&*caller.with(named_params! {
        ":bucket": name.as_str(), ":role": caller.role, ":uid": caller.uid, ":limit": limit,
    }))?;
    let failed =
        |error: rusqlite::Error| refused(error.into(), rules, context, Permission::ObjectDelete, name);
    while let Some(row) = rows.next().map_err(failed)? {
        doomed.push(rows::object(row, 0)?);
    }
    drop(rows);
    let now = now();
    for object in &doomed {
        removal::remove(conn, object, now)?;
        events::object(conn, "storage.object.deleted", object, &[], now)?;
        if keeps {
            history::promote(conn, (name, &object.path), now)?;
        }
    }
    gone.extend(doomed.into_iter().map(emptying::emptied));
    Ok(gone)
}

/// The first objects of a bucket that the caller sees and may delete.
fn some_sql(rules: &RoleRules) -> String {
    format!(
        "SELECT {OBJECT} FROM storage_buckets b CROSS JOIN storage_objects o \
         WHERE b.id = :bucket AND o.bucket_id = :bucket AND {} AND {} ORDER BY o.path LIMIT :limit",
        rules.predicate(Permission::ObjectRead),
        rules.predicate(Permission::ObjectDelete)
    )
}

/// Gives up to `limit` uploads of a bucket up. Whoever policies speak of may not be let delete what others bring: theirs
/// stay.
pub(super) fn discard_uploads(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    name: &BucketName,
    limit: u32,
) -> Result<Vec<GoneUpload>, Fault> {
    reach(conn, access, Permission::BucketUpdate, name)?;
    let context = access.on_rows(Permission::ObjectDelete, Some(name))?;
    let everybodys = !rules.of(context).has_policies();
    multipart::of_bucket(conn, context, name, everybodys, limit)
}

/// Deletes an empty bucket. What the caller has begun to upload goes with it, and what others have keeps it.
pub(super) fn delete(conn: &Connection, access: &Access, name: &BucketName) -> Result<(), Fault> {
    let bucket = reach(conn, access, Permission::BucketDelete, name)?;
    let context = access.on_rows(Permission::BucketDelete, Some(name))?;
    let taken: bool = conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM storage_objects WHERE bucket_id = :bucket) \
             OR EXISTS (SELECT 1 FROM storage_object_versions WHERE bucket_id = :bucket)",
        )?
        .query_row(named_params! { ":bucket": name.as_str() }, |row| row.get(0))?;
    if taken {
        return Err(StorageError::BucketNotEmpty { bucket: name.clone() }.into());
    }
    multipart::of_bucket(conn, context, name, false, u32::MAX)?;
    let others: bool = conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM multipart_uploads WHERE bucket_id = :bucket)")?
        .query_row(named_params! { ":bucket": name.as_str() }, |row| row.get(0))?;
    if others {
        return Err(StorageError::BucketNotEmpty { bucket: name.clone() }.into());
    }
    conn.prepare_cached("DELETE FROM storage_buckets WHERE id = :bucket")?
        .execute(named_params! { ":bucket": name.as_str() })?;
    events::bucket(conn, "storage.bucket.deleted", &bucket, now())
}

/// MIME patterns as the database has them.
fn mimes(patterns: Option<&[MimePattern]>) -> Option<String> {
    patterns
        .map(|patterns| serde_json::Value::from_iter(patterns.iter().map(MimePattern::as_str)).to_string())
}
