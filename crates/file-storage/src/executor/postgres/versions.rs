//! Versions that are named, read and deleted as the caller, under policies that are those of objects; and their lists. What
//! makes a version of an object, and an object of a version, are triggers and the keeper (`migrations/0010_versions.sql`).

use std::sync::{Arc, LazyLock};

use super::decide::{LOCK, look, place, seen};
use super::errors::Fault;
use super::pool::Pool;
use super::put::extra;
use super::read::missing;
use super::rls::{Caller, policy_failed, refused};
use super::rows::{self, OBJECT, OBJECT_WIDTH, SEGMENT};
use super::session::{Session, Step, alone, read};
use crate::bucket::BucketName;
use crate::errors::{DenialReason, StorageError};
use crate::executor::decide;
use crate::executor::proposal::Purpose;
use crate::extra::Tag;
use crate::file::{StorageObject, StoredObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission, RlsContext};
use crate::versions::{ObjectVersion, VersionId, VersionScan};

/// What comes before every version, in the order of versions: the object.
const CURRENT: i64 = i64::MAX;

/// Above every path: longer than any of them, of the greatest character.
static ABOVE_ALL: LazyLock<String> = LazyLock::new(|| "\u{10ffff}".repeat(257));

/// Has deleted objects go, whatever their bucket keeps.
pub(super) const FOR_GOOD: &str = "SELECT set_config('aerostore.for_good', 'on', true)";

/// Makes the newest version at a path the object, where there is none.
pub(super) const PROMOTE: &str = "SELECT {inner}.promote($1, $2)";

/// The same, of all paths of a bucket at which no object and no delete marker is.
pub(super) const PROMOTE_ALL: &str = "SELECT {inner}.promote(v.bucket_id, v.path) \
     FROM (SELECT DISTINCT ON (path) bucket_id, path, is_delete_marker FROM {schema}.storage_object_versions \
         WHERE bucket_id = $1 ORDER BY path, sequence DESC) v \
     WHERE NOT v.is_delete_marker AND NOT EXISTS (SELECT 1 FROM {schema}.storage_objects o \
         WHERE o.bucket_id = v.bucket_id AND o.path = v.path)";

/// Which version is meant: the null one where none is named.
const MEANT: &str = "o.bucket_id = $1 AND o.path = $2 \
     AND CASE WHEN $3::uuid IS NULL THEN NOT o.versioned ELSE o.version = $3 END";

/// The row of either table that is meant, as `o`.
fn meant() -> String {
    format!(
        "(SELECT {OBJECT}, false AS is_delete_marker FROM {{schema}}.storage_objects o WHERE {MEANT} \
         UNION ALL SELECT {OBJECT}, o.is_delete_marker FROM {{schema}}.storage_object_versions o WHERE {MEANT}) o"
    )
}

static OPEN: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {OBJECT}, {SEGMENT}, o.is_delete_marker FROM {} \
         LEFT JOIN {{schema}}.storage_segments s ON s.version = o.version ORDER BY s.ordinal",
        meant()
    )
});

/// Where in those rows it is said whether it is a delete marker.
const IS_MARKER: usize = OBJECT_WIDTH + 6;

static SHOW: LazyLock<String> = LazyLock::new(|| format!("SELECT {OBJECT} FROM {}", meant()));

static DELETE_OBJECT: LazyLock<String> = LazyLock::new(|| {
    format!("DELETE FROM {{schema}}.storage_objects o WHERE {MEANT} RETURNING {OBJECT}, false")
});

static DELETE_VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "DELETE FROM {{schema}}.storage_object_versions o WHERE {MEANT} RETURNING {OBJECT}, o.is_delete_marker"
    )
});

/// The newest row at a path, if it is a delete marker, of those that the caller sees.
const MARKER: &str = "SELECT t.version, t.versioned FROM ( \
     SELECT o.version, o.versioned, o.is_delete_marker FROM {schema}.storage_object_versions o \
     WHERE o.bucket_id = $1 AND o.path = $2 ORDER BY o.sequence DESC LIMIT 1) t WHERE t.is_delete_marker";

/// The place of a version among those of its path.
const PLACE: &str = "SELECT $4::bigint FROM {schema}.storage_objects o WHERE o.bucket_id = $1 AND o.path = $2 \
     AND CASE WHEN $3::uuid IS NULL THEN NOT o.versioned ELSE o.version = $3 END \
     UNION ALL SELECT o.sequence FROM {schema}.storage_object_versions o WHERE o.bucket_id = $1 AND o.path = $2 \
     AND CASE WHEN $3::uuid IS NULL THEN NOT o.versioned ELSE o.version = $3 END";

static SCAN: LazyLock<String> = LazyLock::new(|| {
    let rows = |table: &str, marker: &str, sequence: &str, from: &str, order: &str| {
        format!(
            "(SELECT {OBJECT}, {marker} AS is_delete_marker, {sequence} AS sequence FROM {{schema}}.{table} o \
             WHERE o.bucket_id = $1 AND o.path >= $2 AND o.path < $3 AND (o.path > $2 OR {from}) \
             ORDER BY {order} LIMIT $5)"
        )
    };
    format!(
        "{} UNION ALL {} ORDER BY path, sequence DESC LIMIT $5",
        rows("storage_objects", "false", &format!("{CURRENT}::bigint"), "$4::bigint IS NULL", "o.path"),
        rows(
            "storage_object_versions",
            "o.is_delete_marker",
            "o.sequence",
            "$4::bigint IS NULL OR o.sequence < $4",
            "o.path, o.sequence DESC"
        )
    )
});

const TAG: &str = "UPDATE {schema}.storage_object_versions SET extra = $2 WHERE version = $1";

/// The oldest versions of a bucket that are not current.
const EMPTY: &str = "WITH found AS (SELECT sequence FROM {schema}.storage_object_versions \
         WHERE bucket_id = $1 AND sequence > $3 ORDER BY sequence LIMIT $2), \
     gone AS (DELETE FROM {schema}.storage_object_versions \
         WHERE bucket_id = $1 AND sequence IN (SELECT sequence FROM found) RETURNING sequence) \
     SELECT (SELECT count(*) FROM found), (SELECT max(sequence) FROM found), (SELECT count(*) FROM gone)";

/// A version and its segments.
pub(super) async fn open(
    pool: &Arc<Pool>,
    access: &Access,
    (bucket, path): (&BucketName, &ObjectPath),
    version: VersionId,
) -> Result<StoredObject, Fault> {
    let context = access.on_object(Permission::ObjectRead, bucket, path)?;
    let values = [&bucket.as_str() as _, &path.as_str() as _, &version.uuid() as _];
    let found = match read(pool, "open_version", &Caller::of(context), &OPEN, &values).await {
        Ok(found) => found,
        Err(fault) if policy_failed(&fault, pool, context, Permission::ObjectRead, bucket).await => {
            Vec::new()
        }
        Err(fault) => return Err(fault),
    };
    let Some(first) = found.first() else {
        return Err(missing(pool, context, bucket, path).await.of_version(version));
    };
    if first.try_get(IS_MARKER)? {
        let (bucket, path) = (bucket.clone(), path.clone());
        return Err(StorageError::VersionIsMarker { bucket, path, version }.into());
    }
    let object = rows::object_at(first, 0, bucket, path)?;
    let mut segments = Vec::with_capacity(found.len());
    for row in &found {
        segments.extend(rows::segment(row, OBJECT_WIDTH)?);
    }
    Ok(StoredObject { object, segments })
}

/// The answer where an object is missing because of a delete marker that the caller sees: it says so.
pub(super) async fn hidden(pool: &Arc<Pool>, context: &RlsContext, answer: StorageError) -> Fault {
    let StorageError::ObjectNotFound { bucket, path } = answer else { return answer.into() };
    let values = [&bucket.as_str() as _, &path.as_str() as _];
    let found = match read(pool, "look", &Caller::of(context), MARKER, &values).await {
        Ok(found) => found,
        Err(fault) if policy_failed(&fault, pool, context, Permission::ObjectRead, &bucket).await => {
            Vec::new()
        }
        Err(fault) => return fault,
    };
    let named = |row: &tokio_postgres::Row| -> Result<VersionId, Fault> {
        Ok(VersionId::of(row.try_get(0)?, row.try_get(1)?))
    };
    match found.first().map(named) {
        None => StorageError::ObjectNotFound { bucket, path }.into(),
        Some(Ok(marker)) => StorageError::ObjectDeleted { bucket, path, marker }.into(),
        Some(Err(fault)) => fault,
    }
}

/// Deletes a version for good; `None` where none is visible. What is the newest then is the object.
pub(super) async fn delete(
    pool: &Arc<Pool>,
    access: &Access,
    (bucket, path): (&BucketName, &ObjectPath),
    version: VersionId,
) -> Result<Option<ObjectVersion>, Fault> {
    let permission = Permission::ObjectDelete;
    let context = access.on_object(permission, bucket, path)?;
    let (keeper, caller, places) = (Caller::keeper(), Caller::of(context), vec![place(bucket, path)]);
    let values = [&bucket.as_str() as _, &path.as_str() as _, &version.uuid() as _];
    let at = [&bucket.as_str() as _, &path.as_str() as _];
    let steps = [
        Step::As(&keeper),
        Step::Run(LOCK, &[&places]),
        Step::As(&caller),
        Step::Run(FOR_GOOD, &[]),
        Step::Run(&DELETE_OBJECT, &values),
        Step::Run(&DELETE_VERSION, &values),
        Step::As(&keeper),
        Step::Run(PROMOTE, &at),
        Step::Commit,
    ];
    let failed = match Session::start(pool, "delete_version").await?.run(&steps).await {
        Ok(answers) => {
            if let Some(row) = answers.iter().skip(2).take(2).find_map(|answer| answer.rows.first()) {
                let object = rows::object_at(row, 0, bucket, path)?;
                let is_delete_marker = row.try_get(OBJECT_WIDTH)?;
                return Ok(Some(ObjectVersion { object, is_delete_marker, is_latest: false }));
            }
            false
        }
        Err(fault) if policy_failed(&fault, pool, context, permission, bucket).await => true,
        Err(fault) => return Err(fault),
    };
    // Nothing went: because nothing is seen there, or because it is somebody else's.
    let (row, rules) = Box::pin(look(pool, access, bucket, path)).await?;
    let target =
        seen(row.as_ref(), &rules, context, Purpose::Remove, (bucket, path))?.map(|seen| seen.target);
    let there = Box::pin(shown(pool, context, (bucket, path), version)).await?;
    let target = target.map(|target| decide::Target {
        visible: there.is_some(),
        existing: there,
        deletable: false,
        policy: decide::PolicyView {
            refuses_delete: failed.then_some(DenialReason::PolicyFailed),
            ..target.policy
        },
        ..target
    });
    decide::delete(access, (bucket, path), target)?;
    Ok(None)
}

/// Replaces the tags of a version that is not current, by the rules of an overwrite of it by itself.
pub(super) async fn tag(
    pool: &Arc<Pool>,
    access: &Access,
    at: (&BucketName, &ObjectPath),
    version: VersionId,
    tags: &[Tag],
) -> Result<StorageObject, Fault> {
    let (permission, (bucket, path)) = (Permission::ObjectOverwrite, at);
    let context = access.on_object(permission, bucket, path)?;
    let Some(mut object) = shown(pool, context, at, version).await? else {
        let (bucket, path) = (bucket.clone(), path.clone());
        return Err(StorageError::VersionNotFound { bucket, path, version }.into());
    };
    object.extra.tags = tags.to_vec();
    let kept = extra(&object.extra);
    let values = [&object.version as _, &kept as _];
    match alone(pool, "tag_version", &Caller::of(context), TAG, &values).await {
        Ok(done) if done.affected == 1 => Ok(object),
        Ok(_) => Err(decide::refusal(context, permission, bucket, DenialReason::NotOwner).into()),
        Err(fault) if fault.is_denial() => {
            Err(decide::refusal(context, permission, bucket, DenialReason::NotOwner).into())
        }
        Err(fault) => Err(refused(fault, pool, context, permission, bucket).await),
    }
}

/// A version's row, where the caller sees it.
async fn shown(
    pool: &Arc<Pool>,
    context: &RlsContext,
    (bucket, path): (&BucketName, &ObjectPath),
    version: VersionId,
) -> Result<Option<StorageObject>, Fault> {
    let values = [&bucket.as_str() as _, &path.as_str() as _, &version.uuid() as _];
    match read(pool, "look", &Caller::of(context), &SHOW, &values).await {
        Ok(found) => found.first().map(|row| rows::object_at(row, 0, bucket, path)).transpose(),
        Err(fault) if policy_failed(&fault, pool, context, Permission::ObjectRead, bucket).await => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Versions, by path and the newest first.
pub(super) async fn scan(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    scan: &VersionScan,
) -> Result<Vec<ObjectVersion>, Fault> {
    let context = access.on_rows(Permission::ObjectRead, Some(bucket))?;
    let caller = Caller::of(context);
    // No path has that character, and PostgreSQL's text can't.
    let until = scan.until.as_ref().unwrap_or(&ABOVE_ALL).replace('\0', "\u{1}");
    let from = scan.from.replace('\0', "\u{1}");
    let mut below: Option<i64> = None;
    if let Some(after) = scan.after {
        let values = [&bucket.as_str() as _, &from as _, &after.uuid() as _, &CURRENT as _];
        let found = read(pool, "scan_versions", &caller, PLACE, &values).await?;
        below = found.first().map(|row| row.try_get(0)).transpose()?;
    }
    let limit = i64::from(scan.limit);
    let values = [&bucket.as_str() as _, &from as _, &until as _, &below as _, &limit as _];
    let found = match read(pool, "scan_versions", &caller, &SCAN, &values).await {
        Ok(found) => found,
        Err(fault) => return Err(refused(fault, pool, context, Permission::ObjectRead, bucket).await),
    };
    let mut versions: Vec<ObjectVersion> = Vec::with_capacity(found.len());
    for row in &found {
        let object = rows::object(row, 0)?;
        let is_latest = match versions.last() {
            Some(before) => before.object.path != object.path,
            None => below.is_none() || object.path.as_str() != from,
        };
        versions.push(ObjectVersion { is_delete_marker: row.try_get(OBJECT_WIDTH)?, is_latest, object });
    }
    Ok(versions)
}

/// Deletes versions of a bucket that are not current, the oldest first, as far as the caller may; gives their number.
pub(super) async fn empty(
    pool: &Arc<Pool>,
    context: &RlsContext,
    bucket: &BucketName,
    limit: u64,
) -> Result<u64, Fault> {
    let (caller, keeper) = (Caller::of(context), Caller::keeper());
    let (mut deleted, mut after) = (0, 0_i64);
    // Rows that policies keep from being deleted are passed over.
    while deleted < limit {
        let wanted = limit - deleted;
        let (number, of_bucket) = (rows::int(wanted), [&bucket.as_str() as _]);
        let values = [&bucket.as_str() as _, &number as _, &after as _];
        let steps = [
            Step::As(&caller),
            Step::Run(EMPTY, &values),
            Step::As(&keeper),
            Step::Run(PROMOTE_ALL, &of_bucket),
            Step::Commit,
        ];
        let emptied = match Session::start(pool, "empty_bucket").await?.run(&steps).await {
            Ok(emptied) => emptied,
            Err(fault) => return Err(refused(fault, pool, context, Permission::ObjectDelete, bucket).await),
        };
        let Some(row) = emptied.first().and_then(|answer| answer.rows.first()) else { break };
        deleted += rows::count(row, 2)?;
        match row.try_get(1)? {
            Some(last) if rows::count(row, 0)? == wanted => after = last,
            _ => break,
        }
    }
    Ok(deleted)
}
