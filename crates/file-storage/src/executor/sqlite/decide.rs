//! Who may write where: the one decision behind asking for leave, writing, and moving.

use std::sync::LazyLock;

use rusqlite::{Connection, named_params};

use super::errors::Fault;
use super::rls::{Caller, flag, text};
use super::rows::{self, BUCKET, BUCKET_WIDTH, OBJECT, OBJECT_WIDTH, int, opt_count};
use crate::bucket::{Bucket, BucketName};
use crate::errors::{Denial, DenialReason, StorageError};
use crate::executor::{Admission, QuotaLeft};
use crate::file::{ETags, PutMode, StorageObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, BucketGrant, Permission, RlsContext, bucket_missing, denied};

/// A bucket, and what is at a path in it, as the predicates judge it.
pub(super) struct Target {
    /// The bucket.
    pub(super) bucket: Bucket,
    /// The row at the path, seen or not.
    pub(super) existing: Option<StorageObject>,
    /// Whether the row may be seen.
    pub(super) visible: bool,
    /// Whether a row may be made.
    pub(super) creatable: bool,
    /// Whether the row may be replaced.
    pub(super) overwritable: bool,
    /// Whether the row may be deleted.
    pub(super) deletable: bool,
}

static TARGET: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {BUCKET}, {OBJECT}, {}, {}, {}, {} FROM storage_buckets b \
         LEFT JOIN storage_objects o ON o.bucket_id = b.id AND o.path = :path WHERE b.id = :bucket",
        flag(Permission::ObjectRead),
        flag(Permission::ObjectCreate),
        flag(Permission::ObjectOverwrite),
        flag(Permission::ObjectDelete),
    )
});

/// Looks at a path under the predicates of all permissions; `None` where there is no such bucket.
pub(super) fn look(
    conn: &Connection,
    context: &RlsContext,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<Option<Target>, Fault> {
    let caller = Caller::from(context);
    let mut statement = conn.prepare_cached(&TARGET)?;
    let mut rows = statement.query(named_params! {
        ":bucket": bucket.as_str(), ":path": path.as_str(), ":role": caller.role, ":uid": caller.uid,
    })?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let there = row.get_ref(BUCKET_WIDTH)? != rusqlite::types::ValueRef::Null;
    let flags = BUCKET_WIDTH + OBJECT_WIDTH;
    Ok(Some(Target {
        bucket: rows::bucket(row, 0)?,
        existing: if there { Some(rows::object_at(row, BUCKET_WIDTH, bucket, path)?) } else { None },
        visible: there && row.get(flags)?,
        creatable: row.get(flags + 1)?,
        overwritable: there && row.get(flags + 2)?,
        deletable: there && row.get(flags + 3)?,
    }))
}

impl Target {
    /// What the caller can see of it: an invisible row is none.
    fn without_unseen(self) -> Self {
        match self.visible {
            true => self,
            false => Self { existing: None, overwritable: false, deletable: false, ..self },
        }
    }
}

/// Decides whether a write in this mode is let in, and gives what it would meet.
pub(super) fn write(
    conn: &Connection,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
    mode: &PutMode,
) -> Result<Target, Fault> {
    let target = target(conn, access, bucket, path, mode)?;
    judge(target, access, bucket, path, mode)
}

/// Decides whether a URL may be signed that writes in this mode. Of what the caller can't see, the answer tells
/// nothing.
pub(super) fn sign(
    conn: &Connection,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
    mode: &PutMode,
) -> Result<(), Fault> {
    let target = target(conn, access, bucket, path, mode)?.without_unseen();
    judge(target, access, bucket, path, mode).map(drop)
}

/// The permission that a write asks for first.
fn first_permission(mode: &PutMode) -> Permission {
    match mode {
        PutMode::IfMatch(_) => Permission::ObjectOverwrite,
        PutMode::Create | PutMode::Upsert | PutMode::IfNoneMatch(_) => Permission::ObjectCreate,
    }
}

/// What a write would meet.
fn target(
    conn: &Connection,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
    mode: &PutMode,
) -> Result<Target, Fault> {
    let first = first_permission(mode);
    let context = access.on_object(first, bucket, path)?;
    let target = look(conn, context, bucket, path)?;
    target.ok_or_else(|| bucket_missing(context, first, bucket).into())
}

/// Decides about a write that meets this.
fn judge(
    target: Target,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
    mode: &PutMode,
) -> Result<Target, Fault> {
    let first = first_permission(mode);
    let context = access.on_object(first, bucket, path)?;
    let refuse = |permission, reason| {
        Err(Fault::from(denied(context, Denial { permission, bucket: Some(bucket.clone()), reason })))
    };
    let closed = BucketGrant::of(&target.bucket, context) == BucketGrant::Nothing;
    if closed && !target.visible {
        // Every path answers alike: nothing tells which ones exist.
        return refuse(first, DenialReason::BucketPolicy);
    }
    let failed = || StorageError::PreconditionFailed { bucket: bucket.clone(), path: path.clone() };
    match (verdict(&target, mode), mode) {
        (Verdict::Create, _) if !target.creatable => {
            refuse(Permission::ObjectCreate, DenialReason::BucketPolicy)
        }
        (Verdict::Create, _) => Ok(target),
        (Verdict::Overwrite, _) => {
            access.on_object(Permission::ObjectOverwrite, bucket, path)?;
            if target.overwritable {
                Ok(target)
            } else {
                refuse(Permission::ObjectOverwrite, DenialReason::NotOwner)
            }
        }
        (Verdict::Taken, _) if !target.creatable && !target.overwritable => {
            refuse(Permission::ObjectCreate, DenialReason::BucketPolicy)
        }
        (Verdict::Taken, PutMode::Create) => {
            Err(StorageError::ObjectExists { bucket: bucket.clone(), path: path.clone() }.into())
        }
        (Verdict::Taken | Verdict::Unmet, _) => Err(failed().into()),
    }
}

/// What the mode asks for, given what is there.
enum Verdict {
    Create,
    Overwrite,
    /// The path is taken and must be free.
    Taken,
    /// The condition does not hold.
    Unmet,
}

fn verdict(target: &Target, mode: &PutMode) -> Verdict {
    let existing = target.existing.as_ref();
    match (mode, existing) {
        (PutMode::Create | PutMode::IfNoneMatch(ETags::Any), Some(_)) => Verdict::Taken,
        (PutMode::Create | PutMode::Upsert | PutMode::IfNoneMatch(_), None) => Verdict::Create,
        (PutMode::Upsert, Some(_)) => Verdict::Overwrite,
        // A tag is compared only where it may be seen, else the answer would tell it.
        (PutMode::IfNoneMatch(tags), Some(object)) if target.visible && tags.contains(&object.etag) => {
            Verdict::Unmet
        }
        (PutMode::IfNoneMatch(_), Some(_)) => Verdict::Overwrite,
        (PutMode::IfMatch(_), None) => Verdict::Unmet,
        (PutMode::IfMatch(_), Some(_)) if !target.visible => Verdict::Unmet,
        (PutMode::IfMatch(tags), Some(object)) if tags.contains(&object.etag) => Verdict::Overwrite,
        // Who may not overwrite is told so, whatever the tag.
        (PutMode::IfMatch(_), Some(_)) if !target.overwritable => Verdict::Overwrite,
        (PutMode::IfMatch(_), Some(_)) => Verdict::Unmet,
    }
}

/// Leave to write, before a byte was read.
pub(super) fn admit(
    conn: &Connection,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
    mode: &PutMode,
) -> Result<Admission, Fault> {
    let target = write(conn, access, bucket, path, mode)?;
    let returned = target.existing.as_ref().map_or(0, |object| object.size);
    let owner = match &target.existing {
        Some(object) => object.owner_id,
        None => access.context().user_id(),
    };
    let of_bucket = target.bucket.config.quota_bytes.map(|limit| QuotaLeft {
        scope: "bucket",
        used: target.bucket.total_bytes,
        limit,
        returned,
    });
    let of_user = match owner {
        Some(owner) => user_quota(conn, &text(owner))?.map(|(used, limit)| QuotaLeft {
            scope: "user",
            used,
            limit,
            returned,
        }),
        None => None,
    };
    let quota_left = of_bucket
        .into_iter()
        .chain(of_user)
        .min_by_key(|quota| int(quota.limit).saturating_sub(int(quota.used)));
    Ok(Admission { bucket: target.bucket, quota_left })
}

/// What a user has in use, and may have, where that is limited.
fn user_quota(conn: &Connection, user: &str) -> Result<Option<(u64, u64)>, Fault> {
    let mut statement =
        conn.prepare_cached("SELECT total_bytes, quota_bytes FROM storage_usage WHERE user_id = :user")?;
    let mut rows = statement.query(named_params! { ":user": user })?;
    let Some(row) = rows.next()? else { return Ok(None) };
    opt_count(row, 1)?.map(|limit| Ok((rows::count(row, 0)?, limit))).transpose()
}
