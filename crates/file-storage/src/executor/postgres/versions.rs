//! Versions that are named, read and deleted as the caller, under policies that are those of objects; and their lists. What
//! makes a version of an object, and an object of a version, are triggers and the keeper (`migrations/0010_versions.sql`, `0012_owned_versions.sql`).

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use tokio_postgres::Row;

use super::decide::{LOCK, look, place, seen};
use super::errors::Fault;
use super::pool::Pool;
use super::put::extra;
use super::read::missing;
use super::rls::{Caller, policy_failed, refused};
use super::rows::{self, OBJECT, OBJECT_WIDTH, SEGMENT, VERSION};
use super::session::{Session, Step, Values, alone, read};
use crate::bucket::BucketName;
use crate::errors::{DenialReason, StorageError};
use crate::executor::decide;
use crate::executor::proposal::Purpose;
use crate::extra::Tag;
use crate::file::{ETags, StorageObject, StoredObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission, RlsContext};
use crate::versions::{ObjectVersion, VersionId, VersionScan};

/// What comes before every version, in the order of versions: the object.
const CURRENT: i64 = i64::MAX;

/// Above every path: longer than any of them, of the greatest character.
pub(super) static ABOVE_ALL: LazyLock<String> = LazyLock::new(|| "\u{10ffff}".repeat(257));

/// Has deleted objects go, whatever their bucket keeps.
pub(super) const FOR_GOOD: &str = "SELECT set_config('aerostore.for_good', 'on', true)";

/// Makes the newest version at a path the object, where there is none.
pub(super) const PROMOTE: &str = "SELECT {inner}.promote($1, $2)";

/// Texts about a version that is named by its id, and about the null version of a path: each is one search of an index.
struct Named {
    by_id: String,
    null: String,
}

impl Named {
    fn new(text: impl Fn(&str) -> String) -> Self {
        Self {
            by_id: text("o.bucket_id = $1 AND o.path = $2 AND o.version = $3"),
            null: text("o.bucket_id = $1 AND o.path = $2 AND NOT o.versioned AND $3::uuid IS NULL"),
        }
    }

    fn sql(&'static self, version: VersionId) -> &'static str {
        match version {
            VersionId::Id(_) => &self.by_id,
            VersionId::Null => &self.null,
        }
    }
}

/// The row of either table that is meant, as `o`.
fn meant(which: &str) -> String {
    format!(
        "(SELECT {OBJECT}, false AS is_delete_marker FROM {{schema}}.storage_objects o WHERE {which} \
         UNION ALL SELECT {VERSION}, o.is_delete_marker FROM {{schema}}.storage_object_versions o WHERE {which}) o"
    )
}

static OPEN: LazyLock<Named> = LazyLock::new(|| {
    Named::new(|which| {
        format!(
            "SELECT {OBJECT}, {SEGMENT}, o.is_delete_marker FROM {} \
             LEFT JOIN {{schema}}.storage_segments s ON s.version = o.version ORDER BY s.ordinal",
            meant(which)
        )
    })
});

/// Where in those rows it is said whether it is a delete marker.
const IS_MARKER: usize = OBJECT_WIDTH + 6;

static SHOW: LazyLock<Named> =
    LazyLock::new(|| Named::new(|which| format!("SELECT {OBJECT} FROM {}", meant(which))));

static DELETE_OBJECT: LazyLock<Named> = LazyLock::new(|| {
    Named::new(|which| {
        format!("DELETE FROM {{schema}}.storage_objects o WHERE {which} RETURNING {OBJECT}, false")
    })
});

static DELETE_VERSION: LazyLock<Named> = LazyLock::new(|| {
    Named::new(|which| {
        format!(
            "DELETE FROM {{schema}}.storage_object_versions o WHERE {which} \
             RETURNING {VERSION}, o.is_delete_marker"
        )
    })
});

/// Finds the newest version at a path where no object is, seen or not, and keeps its place for what the caller is asked next:
/// so that the time which the answer takes does not tell of versions that are hidden.
const TOP: &str = "SELECT set_config('aerostore.top', coalesce((SELECT o.sequence::text \
     FROM {schema}.storage_object_versions o WHERE o.bucket_id = $1 AND o.path = $2 \
     AND NOT EXISTS (SELECT 1 FROM {schema}.storage_objects c WHERE c.bucket_id = $1 AND c.path = $2) \
     ORDER BY o.sequence DESC LIMIT 1), ''), true)";

/// That version, if the caller sees it and it is a delete marker.
const MARKER: &str = "SELECT o.version, o.versioned FROM {schema}.storage_object_versions o \
     WHERE o.sequence = nullif(current_setting('aerostore.top', true), '')::bigint AND o.is_delete_marker";

/// The place of a version among those of its path.
static PLACE: LazyLock<Named> = LazyLock::new(|| {
    Named::new(|which| {
        format!(
            "SELECT $4::bigint FROM {{schema}}.storage_objects o WHERE {which} \
             UNION ALL SELECT o.sequence FROM {{schema}}.storage_object_versions o WHERE {which}"
        )
    })
});

/// What is left of the first path ($6), which begins below a version ($4), and the paths from $2 on. Each part walks an index.
static SCAN: LazyLock<String> = LazyLock::new(|| {
    let old = format!("{VERSION}, o.is_delete_marker, o.sequence FROM {{schema}}.storage_object_versions o");
    let beyond = "o.bucket_id = $1 AND o.path >= $2 AND o.path < $3";
    format!(
        "(SELECT {OBJECT}, false AS is_delete_marker, {CURRENT}::bigint AS sequence \
             FROM {{schema}}.storage_objects o WHERE {beyond} ORDER BY o.path LIMIT $5) \
         UNION ALL (SELECT {old} WHERE o.bucket_id = $1 AND o.path = $6 AND o.sequence < $4::bigint \
             ORDER BY o.sequence DESC LIMIT $5) \
         UNION ALL (SELECT {old} WHERE {beyond} ORDER BY o.path, o.sequence DESC LIMIT $5) \
         ORDER BY path, sequence DESC LIMIT $5"
    )
});

/// Which of these delete markers are the newest at their paths, whoever sees what is there.
const ON_TOP: &str = "SELECT v.sequence FROM {schema}.storage_object_versions v WHERE v.sequence = ANY ($1::bigint[]) \
     AND NOT EXISTS (SELECT 1 FROM {schema}.storage_objects c \
         WHERE c.bucket_id = v.bucket_id AND c.path = v.path) \
     AND NOT EXISTS (SELECT 1 FROM {schema}.storage_object_versions n \
         WHERE n.bucket_id = v.bucket_id AND n.path = v.path AND n.sequence > v.sequence)";

const TAG: &str = "UPDATE {schema}.storage_object_versions SET extra = $2 WHERE version = $1";

/// A version and its segments.
pub(super) async fn open(
    pool: &Arc<Pool>,
    access: &Access,
    (bucket, path): (&BucketName, &ObjectPath),
    version: VersionId,
) -> Result<StoredObject, Fault> {
    let context = access.on_object(Permission::ObjectRead, bucket, path)?;
    let values = [&bucket.as_str() as _, &path.as_str() as _, &version.uuid() as _];
    let found = match read(pool, "open_version", &Caller::of(context), OPEN.sql(version), &values).await {
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
    let found = match top(pool, &Caller::of(context), &values).await {
        Ok(found) => found,
        Err(fault) if policy_failed(&fault, pool, context, Permission::ObjectRead, &bucket).await => {
            Vec::new()
        }
        Err(fault) => return fault,
    };
    let named =
        |row: &Row| -> Result<VersionId, Fault> { Ok(VersionId::of(row.try_get(0)?, row.try_get(1)?)) };
    match found.first().map(named) {
        None => StorageError::ObjectNotFound { bucket, path }.into(),
        Some(Ok(marker)) => StorageError::ObjectDeleted { bucket, path, marker }.into(),
        Some(Err(fault)) => fault,
    }
}

/// The delete marker on top of a path, if the caller sees it.
async fn top(pool: &Arc<Pool>, caller: &Caller, at: Values<'_>) -> Result<Vec<Row>, Fault> {
    let keeper = Caller::keeper();
    let steps =
        [Step::As(&keeper), Step::Run(TOP, at), Step::As(caller), Step::Run(MARKER, &[]), Step::Commit];
    let answers = Session::start(pool, "look").await?.run(&steps).await?;
    Ok(answers.into_iter().next_back().map(|answer| answer.rows).unwrap_or_default())
}

/// Deletes a version for good; `None` where none is visible. What is the newest then is the object. Its condition is asked of
/// what may be deleted alone: where it does not hold, nothing is committed.
pub(super) async fn delete(
    pool: &Arc<Pool>,
    access: &Access,
    (bucket, path): (&BucketName, &ObjectPath),
    version: VersionId,
    condition: Option<&ETags>,
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
        Step::Run(DELETE_OBJECT.sql(version), &values),
        Step::Run(DELETE_VERSION.sql(version), &values),
    ];
    let end = [Step::As(&keeper), Step::Run(PROMOTE, &at), Step::Commit];
    let mut session = Session::start(pool, "delete_version").await?;
    // Without a condition, all of it goes out at once.
    let first = match condition {
        None => session.run(&steps.iter().chain(&end).copied().collect::<Vec<_>>()).await,
        Some(_) => session.run(&steps).await,
    };
    let failed = match first {
        Ok(answers) => {
            if let Some(row) = answers.iter().skip(2).take(2).find_map(|answer| answer.rows.first()) {
                let object = rows::object_at(row, 0, bucket, path)?;
                let is_delete_marker = row.try_get(OBJECT_WIDTH)?;
                if let Some(tags) = condition {
                    if is_delete_marker || !tags.contains(&object.etag) {
                        let (bucket, path) = (bucket.clone(), path.clone());
                        return Err(StorageError::PreconditionFailed { bucket, path }.into());
                    }
                    session.run(&end).await?;
                }
                return Ok(Some(ObjectVersion { object, is_delete_marker, is_latest: false }));
            }
            false
        }
        Err(fault) if policy_failed(&fault, pool, context, permission, bucket).await => true,
        Err(fault) => return Err(fault),
    };
    drop(session);
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
    match read(pool, "look", &Caller::of(context), SHOW.sql(version), &values).await {
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
        let found = read(pool, "scan_versions", &caller, PLACE.sql(after), &values).await?;
        below = found.first().map(|row| row.try_get(0)).transpose()?;
    }
    let limit = i64::from(scan.limit);
    // After a version, other paths are those after its own.
    let low = if below.is_some() { format!("{from}\u{1}") } else { from.clone() };
    let values = [&bucket.as_str() as _, &low as _, &until as _, &below as _, &limit as _, &from as _];
    let found = match read(pool, "scan_versions", &caller, &SCAN, &values).await {
        Ok(found) => found,
        Err(fault) => return Err(refused(fault, pool, context, Permission::ObjectRead, bucket).await),
    };
    let mut versions: Vec<(ObjectVersion, i64)> = Vec::with_capacity(found.len());
    for row in &found {
        let (is_delete_marker, sequence) = (row.try_get(OBJECT_WIDTH)?, row.try_get(OBJECT_WIDTH + 1)?);
        let is_latest = sequence == CURRENT;
        versions
            .push((ObjectVersion { object: rows::object(row, 0)?, is_delete_marker, is_latest }, sequence));
    }
    crown(pool, &mut versions).await?;
    Ok(versions.into_iter().map(|(version, _)| version).collect())
}

/// Finds the delete markers that are the newest at their paths, also among what the caller does not see.
async fn crown(pool: &Arc<Pool>, versions: &mut [(ObjectVersion, i64)]) -> Result<(), Fault> {
    let markers: Vec<i64> = versions
        .iter()
        .filter(|(version, _)| version.is_delete_marker)
        .map(|(_, sequence)| *sequence)
        .collect();
    if markers.is_empty() {
        return Ok(());
    }
    let found = read(pool, "scan_versions", &Caller::keeper(), ON_TOP, &[&markers]).await?;
    let on_top = found.iter().map(|row| row.try_get(0)).collect::<Result<HashSet<i64>, _>>()?;
    for (version, sequence) in versions {
        version.is_latest |= on_top.contains(sequence);
    }
    Ok(())
}
