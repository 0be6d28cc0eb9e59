//! Versions that are named, read and deleted under the rules of objects, and their lists.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, named_params};

use super::errors::Fault;
use super::history;
use super::put::extra;
use super::read::{missing, seen};
use super::rls::{Caller, builtin, builtin_of_version, is_true, refused, text};
use super::rows::{self, BUCKET, BUCKET_WIDTH, OBJECT, OBJECT_WIDTH, SEGMENT, VERSION, micros, now};
use super::rules::{RoleRules, Rules, Statement};
use super::{events, removal};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::decide::{self, PolicyView, Target};
use crate::executor::just_after;
use crate::executor::proposal::{self, Proposed, Purpose, Seen};
use crate::extra::Tag;
use crate::file::{ETags, PutMode, StorageObject, StoredObject};
use crate::path::ObjectPath;
use crate::permissions::policy::Candidate;
use crate::permissions::{Access, Permission, RlsContext};
use crate::versions::{ObjectVersion, VersionId, VersionScan};

/// What comes before every version, in the order of versions: the object.
const CURRENT: i64 = i64::MAX;

/// Which row is meant, as one search of an index: by its id, or as the null version of its path.
fn which(version: VersionId) -> &'static str {
    match version {
        VersionId::Id(_) => "o.version = :version AND +o.bucket_id = :bucket AND +o.path = :path",
        VersionId::Null => {
            "o.bucket_id = :bucket AND o.path = :path AND o.versioned = 0 AND :version IS NULL"
        }
    }
}

/// The statement about the version that is meant, of two.
fn by(version: VersionId, of_id: Statement, of_null: Statement) -> Statement {
    match version {
        VersionId::Id(_) => of_id,
        VersionId::Null => of_null,
    }
}

pub(super) fn open_sql(rules: &RoleRules, version: VersionId) -> String {
    let one = |columns: &str, table: &str, predicate: &str| {
        let which = which(version);
        format!(
            "SELECT {columns} AS is_delete_marker FROM storage_buckets b JOIN {table} o ON {which} \
             WHERE b.id = :bucket AND {predicate}"
        )
    };
    format!(
        "SELECT {OBJECT}, {SEGMENT}, o.is_delete_marker FROM ({} UNION ALL {}) o \
         LEFT JOIN storage_segments s ON s.version = o.version ORDER BY s.ordinal",
        one(&format!("{OBJECT}, 0"), "storage_objects", rules.predicate(Permission::ObjectRead)),
        one(&format!("{VERSION}, o.is_delete_marker"), "storage_object_versions", rules.reads_version())
    )
}

/// Where in those rows it is said whether it is a delete marker.
const IS_MARKER: usize = OBJECT_WIDTH + 6;

/// A version and its segments.
pub(super) fn open(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    (bucket, path): (&BucketName, &ObjectPath),
    version: VersionId,
) -> Result<StoredObject, Fault> {
    let context = access.on_object(Permission::ObjectRead, bucket, path)?;
    let caller = Caller::under(rules, context);
    let named = by(version, Statement::OpenVersion, Statement::OpenNull);
    let sql = rules.of(context).sql(named, |rules| open_sql(rules, version));
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(&*caller.with(named_params! {
        ":bucket": bucket.as_str(), ":path": path.as_str(), ":version": version.uuid().map(text),
        ":role": caller.role, ":uid": caller.uid,
    }))?;
    let Some(first) = seen(rows.next(), rules, context, bucket)? else {
        return Err(missing(conn, rules, context, bucket, path)?.of_version(version));
    };
    if first.get(IS_MARKER)? {
        let (bucket, path) = (bucket.clone(), path.clone());
        return Err(StorageError::VersionIsMarker { bucket, path, version }.into());
    }
    let object = rows::object_at(first, 0, bucket, path)?;
    let mut segments = Vec::with_capacity(1);
    let mut next = Some(first);
    while let Some(row) = next {
        segments.extend(rows::segment(row, OBJECT_WIDTH)?);
        next = rows.next()?;
    }
    Ok(StoredObject { object, segments })
}

/// `columns` are those of a version that is not current.
pub(super) fn target_sql(rules: &RoleRules, version: VersionId, columns: &str) -> String {
    let deletes = is_true(rules.predicate(Permission::ObjectDelete));
    let one = |columns: &str, table: &str, reads: &str| {
        let (which, reads) = (which(version), is_true(reads));
        format!(
            "SELECT {columns} AS is_delete_marker, {reads} AS reads, {deletes} AS deletes \
             FROM storage_buckets b JOIN {table} o ON {which} WHERE b.id = :bucket"
        )
    };
    format!(
        "SELECT {BUCKET}, {OBJECT}, o.is_delete_marker, o.reads, o.deletes FROM storage_buckets b \
         LEFT JOIN ({} UNION ALL {}) o ON true WHERE b.id = :bucket",
        one(&format!("{OBJECT}, 0"), "storage_objects", rules.predicate(Permission::ObjectRead)),
        one(&format!("{columns}, o.is_delete_marker"), "storage_object_versions", rules.reads_version())
    )
}

/// Looks at a version that is to be deleted, and whether it is a delete marker.
fn look(
    conn: &Connection,
    rules: &Rules,
    context: &RlsContext,
    (bucket, path): (&BucketName, &ObjectPath),
    version: VersionId,
) -> Result<Option<(Seen, bool)>, Fault> {
    let named = by(version, Statement::ToRemoveVersion, Statement::ToRemoveNull);
    let sql = rules.of(context).sql(named, |rules| target_sql(rules, version, VERSION));
    match look_by(conn, rules, context, (bucket, path), version, sql) {
        Err(fault) if fault.of_policy().is_some() => {
            look_again(conn, rules, context, (bucket, path), version)
        }
        looked => looked,
    }
}

/// Finds out which condition failed, and what it was asked for. A delete marker is asked about as what it hides, which it
/// carries unseen: IMPORTANT, what it shows may satisfy conditions that this does not.
fn look_again(
    conn: &Connection,
    rules: &Rules,
    context: &RlsContext,
    at: (&BucketName, &ObjectPath),
    version: VersionId,
) -> Result<Option<(Seen, bool)>, Fault> {
    let nothing = Rules::of_table();
    let look = |columns: &str| {
        let sql = target_sql(nothing.of(context), version, columns);
        look_by(conn, &nothing, context, at, version, &sql)
    };
    let Some((mut seen, is_marker)) = look(OBJECT)? else { return Ok(None) };
    seen.target.policy = proposal::view(rules.policies(), context, at.0);
    seen.ask_of_old_row(rules.policies(), context, micros(now()), Purpose::Remove);
    if is_marker {
        seen.target.existing = look(VERSION)?.and_then(|(shown, _)| shown.target.existing);
    }
    Ok(Some((seen, is_marker)))
}

fn look_by(
    conn: &Connection,
    rules: &Rules,
    context: &RlsContext,
    (bucket, path): (&BucketName, &ObjectPath),
    version: VersionId,
    sql: &str,
) -> Result<Option<(Seen, bool)>, Fault> {
    let caller = Caller::under(rules, context);
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(&*caller.with(named_params! {
        ":bucket": bucket.as_str(), ":path": path.as_str(), ":version": version.uuid().map(text),
        ":role": caller.role, ":uid": caller.uid,
    }))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let there = row.get_ref(BUCKET_WIDTH)? != ValueRef::Null;
    let flags = BUCKET_WIDTH + OBJECT_WIDTH;
    let visible = there && row.get(flags + 1)?;
    let target = Target {
        bucket: rows::bucket(row, 0)?,
        existing: if there { Some(rows::object_at(row, BUCKET_WIDTH, bucket, path)?) } else { None },
        visible,
        creatable: false,
        overwritable: false,
        // What can't be seen can't be found to be deleted.
        deletable: visible && row.get(flags + 2)?,
        policy: match rules.of(context).has_policies() {
            true => proposal::view(rules.policies(), context, bucket),
            false => PolicyView::default(),
        },
    };
    Ok(Some((Seen { target, reads: visible, overwrites: false }, there && row.get(flags)?)))
}

/// Deletes a version for good; `None` where none is visible. What is the newest then is the object. Its condition is asked of
/// what may be deleted alone.
pub(super) fn delete(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    at: (&BucketName, &ObjectPath),
    version: VersionId,
    condition: Option<&ETags>,
) -> Result<Option<ObjectVersion>, Fault> {
    let context = access.on_object(Permission::ObjectDelete, at.0, at.1)?;
    let (seen, is_delete_marker) = look(conn, rules, context, at, version)?.unzip();
    let doomed = decide::delete(access, at, seen.map(|seen| seen.target))?;
    let Some(object) = doomed else { return Ok(None) };
    let is_delete_marker = is_delete_marker.unwrap_or(false);
    if condition.is_some_and(|tags| is_delete_marker || !tags.contains(&object.etag)) {
        return Err(StorageError::PreconditionFailed { bucket: object.bucket, path: object.path }.into());
    }
    end(conn, (&object, is_delete_marker), &[])?;
    Ok(Some(ObjectVersion { object, is_delete_marker, is_latest: false }))
}

/// Ends a version, current or not, which may be a delete marker.
pub(super) fn end(
    conn: &Connection,
    (version, is_delete_marker): (&StorageObject, bool),
    told: &[(&str, &str)],
) -> Result<(), Fault> {
    let now = now();
    let is_current: bool = conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM storage_objects WHERE version = :version)")?
        .query_row(named_params! { ":version": text(version.version) }, |row| row.get(0))?;
    if is_current {
        removal::remove(conn, version, now)?;
        events::object(conn, "storage.object.deleted", version, told, now)?;
    } else {
        history::end(conn, (version, is_delete_marker), told, now)?;
    }
    history::promote(conn, (&version.bucket, &version.path), now)
}

fn tag_sql(rules: &RoleRules, version: VersionId) -> String {
    format!(
        "SELECT {BUCKET}, {OBJECT}, {}, {}, {}, {}, {} FROM storage_buckets b \
         LEFT JOIN storage_object_versions o ON {} AND NOT o.is_delete_marker WHERE b.id = :bucket",
        is_true(rules.reads_version()),
        is_true(builtin(Permission::ObjectCreate)),
        is_true(rules.predicate(Permission::ObjectOverwrite)),
        is_true(builtin_of_version()),
        is_true(builtin(Permission::ObjectOverwrite)),
        which(version)
    )
}

/// Replaces the tags of a version that is not current, by the rules of an overwrite of it by itself.
pub(super) fn tag(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    (bucket, path): (&BucketName, &ObjectPath),
    version: VersionId,
    tags: &[Tag],
) -> Result<StorageObject, Fault> {
    let permission = Permission::ObjectOverwrite;
    let context = access.on_object(permission, bucket, path)?;
    let caller = Caller::under(rules, context);
    let named = by(version, Statement::ToTagVersion, Statement::ToTagNull);
    let sql = rules.of(context).sql(named, |rules| tag_sql(rules, version));
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(&*caller.with(named_params! {
        ":bucket": bucket.as_str(), ":path": path.as_str(), ":version": version.uuid().map(text),
        ":role": caller.role, ":uid": caller.uid,
    }))?;
    let row = rows.next().map_err(|error| refused(error.into(), rules, context, permission, bucket))?;
    let not_there = || StorageError::VersionNotFound { bucket: bucket.clone(), path: path.clone(), version };
    let Some(row) = row.filter(|row| !matches!(row.get_ref(BUCKET_WIDTH), Ok(ValueRef::Null))) else {
        return Err(not_there().into());
    };
    let flags = BUCKET_WIDTH + OBJECT_WIDTH;
    let mut object = rows::object_at(row, BUCKET_WIDTH, bucket, path)?;
    let target = Target {
        bucket: rows::bucket(row, 0)?,
        existing: Some(object.clone()),
        visible: row.get(flags)?,
        creatable: row.get(flags + 1)?,
        overwritable: row.get(flags + 2)?,
        deletable: false,
        policy: PolicyView::default(),
    };
    if !target.visible {
        return Err(not_there().into());
    }
    let mut seen = Seen { target, reads: row.get(flags + 3)?, overwrites: row.get(flags + 4)? };
    drop(rows);
    if rules.of(context).has_policies() {
        let candidate = Candidate::object(&object);
        seen.ask_policies(rules.policies(), context, micros(now()), Proposed::Own(&candidate));
    }
    decide::write(access, (bucket, path), &PutMode::IfMatch(ETags::Any), Some(seen.target))?;
    object.extra.tags = tags.to_vec();
    conn.prepare_cached("UPDATE storage_object_versions SET extra = :extra WHERE version = :version")?
        .execute(named_params! { ":extra": extra(&object.extra), ":version": text(object.version) })?;
    Ok(object)
}

/// Whether the version `o` is the newest at its path, of all: only a delete marker can be.
const IS_ON_TOP: &str = "(o.is_delete_marker AND NOT EXISTS (SELECT 1 FROM storage_objects c \
         WHERE c.bucket_id = o.bucket_id AND c.path = o.path) \
     AND NOT EXISTS (SELECT 1 FROM storage_object_versions n \
         WHERE n.bucket_id = o.bucket_id AND n.path = o.path AND n.sequence > o.sequence))";

/// What is left of the first path, which begins below a version; and the paths after it. Each part walks an index.
pub(super) fn scan_sql(rules: &RoleRules) -> String {
    let part = |columns: &str, from: &str, order: &str| {
        format!(
            "SELECT * FROM (SELECT {columns} FROM storage_buckets b CROSS JOIN {from} WHERE b.id = :bucket \
             AND o.bucket_id = :bucket AND {order} LIMIT :limit)"
        )
    };
    let current = format!("{OBJECT}, 0 AS is_delete_marker, {CURRENT} AS sequence, 1 AS is_latest");
    let old = format!("{VERSION}, o.is_delete_marker, o.sequence, {IS_ON_TOP} AS is_latest");
    let (read, read_version) = (rules.predicate(Permission::ObjectRead), rules.reads_version());
    format!(
        "{} UNION ALL {} UNION ALL {} ORDER BY path, sequence DESC LIMIT :limit",
        part(
            &current,
            "storage_objects o",
            &format!("o.path >= :low AND o.path < :until AND {read} ORDER BY o.path")
        ),
        part(
            &old,
            "storage_object_versions o",
            &format!(
                "o.path = :from AND o.sequence < :below AND {read_version} ORDER BY o.path, o.sequence DESC"
            )
        ),
        part(
            &old,
            "storage_object_versions o",
            &format!(
                "o.path >= :low AND o.path < :until AND {read_version} ORDER BY o.path, o.sequence DESC"
            )
        )
    )
}

/// Versions, by path and the newest first.
pub(super) fn scan(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    bucket: &BucketName,
    scan: &VersionScan,
) -> Result<Vec<ObjectVersion>, Fault> {
    let context = access.on_rows(Permission::ObjectRead, Some(bucket))?;
    // Both statements see the same rows.
    let _snapshot = conn.unchecked_transaction()?;
    let below = match scan.after {
        Some(after) => place(conn, bucket, &scan.from, after)?,
        None => None,
    };
    let caller = Caller::under(rules, context);
    let mut statement = conn.prepare_cached(rules.of(context).sql(Statement::ScanVersions, scan_sql))?;
    // Above every path, as the greatest character repeated.
    let above_all = "\u{10ffff}".repeat(257);
    // After a version, other paths are those after its own.
    let low = if below.is_some() { just_after(&scan.from) } else { scan.from.clone() };
    let mut rows = statement.query(&*caller.with(named_params! {
        ":bucket": bucket.as_str(), ":from": scan.from, ":low": low, ":below": below, ":limit": scan.limit,
        ":until": scan.until.as_deref().unwrap_or(&above_all), ":role": caller.role, ":uid": caller.uid,
    }))?;
    let mut found: Vec<ObjectVersion> = Vec::new();
    let failed =
        |error: rusqlite::Error| refused(error.into(), rules, context, Permission::ObjectRead, bucket);
    while let Some(row) = rows.next().map_err(failed)? {
        found.push(ObjectVersion {
            object: rows::object(row, 0)?,
            is_delete_marker: row.get(OBJECT_WIDTH)?,
            is_latest: row.get(OBJECT_WIDTH + 2)?,
        });
    }
    Ok(found)
}

/// Where a version is in the order of its path's versions; `None` where it is gone.
fn place(
    conn: &Connection,
    bucket: &BucketName,
    path: &str,
    version: VersionId,
) -> Result<Option<i64>, Fault> {
    let which = which(version);
    let mut statement = conn.prepare_cached(&format!(
        "SELECT :current FROM storage_objects o WHERE {which} \
         UNION ALL SELECT o.sequence FROM storage_object_versions o WHERE {which}"
    ))?;
    let mut rows = statement.query(named_params! {
        ":current": CURRENT, ":bucket": bucket.as_str(), ":path": path,
        ":version": version.uuid().map(text),
    })?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}
