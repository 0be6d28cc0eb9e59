//! How rows come to be versions, and how they become objects again: here alone, so that no counter is forgotten and a path
//! never has two objects. Whether the caller may is decided before.
//!
//! What holds at every path: the row of `storage_objects` is newer than all rows of `storage_object_versions`; where there
//! is none, the newest of those is a delete marker; at most one row, of either table, is the null version.

use std::sync::LazyLock;

use rusqlite::{Connection, named_params};
use uuid::Uuid;

use super::errors::Fault;
use super::events;
use super::ledger::{Change, count_for_owner, count_in_bucket};
use super::removal::discard_bytes;
use super::rls::{Caller, policy_failed, text};
use super::rows::{self, OBJECT, OBJECT_WIDTH, VERSION, int, micros};
use super::rules::{RoleRules, Rules, Statement};
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::file::StorageObject;
use crate::path::ObjectPath;
use crate::permissions::{Permission, RlsContext};
use crate::versions::{DeleteMarker, Versioning};

/// The columns that both tables have, in the order in which objects are read.
const COLUMNS: &str = "id, bucket_id, path, size, content_type, cache_control, checksum, etag, \
     owner_id, metadata, version, created_at, updated_at, extra, versioned";

/// Keeps an object as a version, or has its bytes go, as another row takes its place. Gives the bytes that it gives back.
pub(super) fn replace(
    conn: &Connection,
    versioning: Versioning,
    old: &StorageObject,
    now: Timestamp,
) -> Result<u64, Fault> {
    if !versioning.keeps(old.versioned) {
        discard_bytes(conn, old.version, now)?;
        return Ok(old.size);
    }
    static KEEP: LazyLock<String> = LazyLock::new(|| {
        format!(
            "INSERT INTO storage_object_versions ({COLUMNS}, is_delete_marker, noncurrent_at) \
             SELECT {COLUMNS}, 0, :now FROM storage_objects WHERE bucket_id = :bucket AND path = :path"
        )
    });
    conn.prepare_cached(&KEEP)?.execute(named_params! {
        ":now": micros(now), ":bucket": old.bucket.as_str(), ":path": old.path.as_str(),
    })?;
    Ok(0)
}

/// Takes an object away: it is kept as a version, or goes.
pub(super) fn retire(
    conn: &Connection,
    versioning: Versioning,
    object: &StorageObject,
    now: Timestamp,
) -> Result<(), Fault> {
    let returned = replace(conn, versioning, object, now)?;
    let gone = conn
        .prepare_cached("DELETE FROM storage_objects WHERE bucket_id = :bucket AND path = :path")?
        .execute(named_params! { ":bucket": object.bucket.as_str(), ":path": object.path.as_str() })?;
    if gone != 1 {
        return Err(StorageError::internal("a row to be deleted was not there").into());
    }
    let change = Change { files: -1, added: 0, returned };
    count_in_bucket(conn, object.bucket.as_str(), change)?;
    count_for_owner(conn, object.owner_id, object.bucket.as_str(), change, now)
}

/// Makes room for the null version that is about to be written at a path. The one among the versions goes where the caller may
/// delete it, and is kept as a version of its own where not: a write takes nothing away that a deletion could not. Gives the
/// bytes that go.
pub(super) fn make_way(
    conn: &Connection,
    (rules, context): (&Rules, &RlsContext),
    versioning: Versioning,
    (bucket, path): (&BucketName, &ObjectPath),
    now: Timestamp,
) -> Result<u64, Fault> {
    if versioning != Versioning::Suspended {
        return Ok(0);
    }
    if let Some((null, is_marker)) = null_to_go(conn, rules, context, (bucket, path))? {
        end(conn, (&null, is_marker), &[], now)?;
        return Ok(null.size);
    }
    conn.prepare_cached(
        "UPDATE storage_object_versions SET versioned = 1 \
         WHERE bucket_id = :bucket AND path = :path AND versioned = 0",
    )?
    .execute(named_params! { ":bucket": bucket.as_str(), ":path": path.as_str() })?;
    Ok(0)
}

/// The null version among the versions at a path, where the caller may delete it, and whether it is a delete marker. A policy
/// that fails lets nothing go.
pub(super) fn null_to_go(
    conn: &Connection,
    rules: &Rules,
    context: &RlsContext,
    (bucket, path): (&BucketName, &ObjectPath),
) -> Result<Option<(StorageObject, bool)>, Fault> {
    let caller = Caller::under(rules, context);
    let mut statement = conn.prepare_cached(rules.of(context).sql(Statement::NullToGo, null_sql))?;
    let mut rows = statement.query(&*caller.with(named_params! {
        ":bucket": bucket.as_str(), ":path": path.as_str(), ":role": caller.role, ":uid": caller.uid,
    }))?;
    match rows.next().map_err(Fault::from) {
        Err(fault) if policy_failed(&fault, rules, context, Permission::ObjectDelete, bucket) => Ok(None),
        row => match row? {
            Some(row) => Ok(Some((rows::object_at(row, 0, bucket, path)?, row.get(OBJECT_WIDTH)?))),
            None => Ok(None),
        },
    }
}

fn null_sql(rules: &RoleRules) -> String {
    format!(
        "SELECT {VERSION}, o.is_delete_marker FROM storage_buckets b JOIN storage_object_versions o \
         ON o.bucket_id = :bucket AND o.path = :path AND o.versioned = 0 WHERE b.id = :bucket AND {} AND {}",
        rules.reads_version(),
        rules.predicate(Permission::ObjectDelete)
    )
}

/// Deletes a version that is not the current one for good, and tells of it, unless it is a delete marker; `told` is what else
/// is said of it.
pub(super) fn end(
    conn: &Connection,
    (version, is_delete_marker): (&StorageObject, bool),
    told: &[(&str, &str)],
    now: Timestamp,
) -> Result<(), Fault> {
    remove(conn, version, now)?;
    if is_delete_marker {
        return Ok(());
    }
    let id = version.version_id().to_string();
    let told: Vec<_> = [("version_id", &*id)].into_iter().chain(told.iter().copied()).collect();
    events::object(conn, "storage.object.deleted", version, &told, now)
}

fn remove(conn: &Connection, version: &StorageObject, now: Timestamp) -> Result<(), Fault> {
    discard_bytes(conn, version.version, now)?;
    let gone = conn
        .prepare_cached("DELETE FROM storage_object_versions WHERE version = :version")?
        .execute(named_params! { ":version": text(version.version) })?;
    if gone != 1 {
        return Err(StorageError::internal("a version to be deleted was not there").into());
    }
    let change = Change { files: 0, added: 0, returned: version.size };
    count_in_bucket(conn, version.bucket.as_str(), change)?;
    count_for_owner(conn, version.owner_id, version.bucket.as_str(), change, now)
}

/// Puts a delete marker on top of the object that was at a path, or of nothing, where it belongs to `owner`. It carries what
/// policies may ask of what it hides, whose it is included: what hides the one hides the other.
pub(super) fn mark(
    conn: &Connection,
    marker: DeleteMarker,
    (bucket, path): (&BucketName, &ObjectPath),
    hidden: Option<&StorageObject>,
    owner: Option<Uuid>,
    now: Timestamp,
) -> Result<(), Fault> {
    let (id, owner) = hidden.map_or((Uuid::now_v7(), owner), |hidden| (hidden.id, hidden.owner_id));
    let metadata = hidden.map(|hidden| serde_json::Value::Object(hidden.metadata.clone()).to_string());
    let checksum = hidden.and_then(|hidden| hidden.checksum).map(|checksum| checksum.to_hex());
    conn.prepare_cached(
        "INSERT INTO storage_object_versions (id, bucket_id, path, size, content_type, cache_control, checksum, etag, \
         owner_id, metadata, version, created_at, updated_at, versioned, is_delete_marker, noncurrent_at) \
         VALUES (:id, :bucket, :path, :size, :type, :cache, :checksum, :etag, :owner, :metadata, :version, :created, \
         :updated, :versioned, 1, :now)",
    )?
    .execute(named_params! {
        ":id": text(id), ":bucket": bucket.as_str(), ":path": path.as_str(),
        ":size": int(hidden.map_or(0, |hidden| hidden.size)),
        ":type": hidden.map_or("", |hidden| &hidden.content_type),
        ":cache": hidden.and_then(|hidden| hidden.cache_control.as_deref()), ":checksum": checksum,
        ":etag": hidden.map_or("", |hidden| &hidden.etag), ":owner": owner.map(text),
        ":metadata": metadata.as_deref().unwrap_or("{}"), ":version": text(marker.version),
        ":created": micros(hidden.map_or(now, |hidden| hidden.created_at)),
        ":updated": micros(hidden.map_or(now, |hidden| hidden.updated_at)),
        ":versioned": marker.versioned, ":now": micros(now),
    })?;
    Ok(())
}

/// Makes the newest version at a path the object, where there is none and it is no delete marker.
pub(super) fn promote(
    conn: &Connection,
    (bucket, path): (&BucketName, &ObjectPath),
    now: Timestamp,
) -> Result<(), Fault> {
    static NEWEST: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT {OBJECT}, o.is_delete_marker FROM storage_object_versions o \
             WHERE o.bucket_id = :bucket AND o.path = :path AND NOT EXISTS ( \
                 SELECT 1 FROM storage_objects c WHERE c.bucket_id = :bucket AND c.path = :path) \
             ORDER BY o.sequence DESC LIMIT 1"
        )
    });
    static BACK: LazyLock<String> = LazyLock::new(|| {
        format!(
            "INSERT INTO storage_objects ({COLUMNS}) \
             SELECT {COLUMNS} FROM storage_object_versions WHERE version = :version"
        )
    });
    let mut statement = conn.prepare_cached(&NEWEST)?;
    let mut rows = statement.query(named_params! { ":bucket": bucket.as_str(), ":path": path.as_str() })?;
    let Some(row) = rows.next()? else { return Ok(()) };
    if row.get(OBJECT_WIDTH)? {
        return Ok(());
    }
    let object = rows::object_at(row, 0, bucket, path)?;
    drop(rows);
    let version = text(object.version);
    conn.prepare_cached(&BACK)?.execute(named_params! { ":version": version })?;
    conn.prepare_cached("DELETE FROM storage_object_versions WHERE version = :version")?
        .execute(named_params! { ":version": version })?;
    let change = Change { files: 1, added: 0, returned: 0 };
    count_in_bucket(conn, bucket.as_str(), change)?;
    count_for_owner(conn, object.owner_id, bucket.as_str(), change, now)?;
    events::object(conn, "storage.object.created", &object, &[("reason", "restored")], now)
}
