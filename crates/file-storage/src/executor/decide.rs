//! Who may write where: the one decision behind asking for leave, writing, moving and deleting, on every engine.
//!
//! The engine looks, under the predicates of all permissions, and says what it saw as a [`Target`]; what follows
//! from it is said here once. Knows no SQL.

use std::sync::Arc;

use uuid::Uuid;

use crate::bucket::{Bucket, BucketName};
use crate::errors::{Denial, DenialReason, StorageError};
use crate::executor::quota::{Limits, folder_name};
use crate::executor::{Admission, QuotaLeft};
use crate::file::{ETags, PutMode, StorageObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, BucketGrant, Permission, RlsContext, bucket_missing, denied};
use crate::quota::QuotaEnforcement;

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
    /// What SQL policies have to do with it.
    pub(super) policy: PolicyView,
}

impl Target {
    /// What the caller can see of it: an invisible row is none.
    pub(super) fn without_unseen(self) -> Self {
        match self.visible {
            true => self,
            false => Self { existing: None, overwritable: false, deletable: false, ..self },
        }
    }
}

/// What SQL policies add to the answer about a path. Without policies, nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct PolicyView {
    /// Policies may show the caller rows of the bucket.
    pub(super) opens_reads: bool,
    /// Policies may let the caller write in the bucket.
    pub(super) opens_writes: bool,
    /// Why no row may be made, where a policy has a say in it.
    pub(super) refuses_create: Option<DenialReason>,
    /// Why the row may not be replaced, where a policy has a say in it.
    pub(super) refuses_overwrite: Option<DenialReason>,
    /// Why the row, which is seen, may not be deleted, where a policy has a say in it.
    pub(super) refuses_delete: Option<DenialReason>,
}

/// The permission that a write in this mode asks for first, and that a refusal names.
pub(super) fn first_permission(mode: &PutMode) -> Permission {
    match mode {
        PutMode::IfMatch(_) => Permission::ObjectOverwrite,
        PutMode::Create | PutMode::Upsert | PutMode::IfNoneMatch(_) => Permission::ObjectCreate,
    }
}

/// Decides whether a write in this mode is let in, and gives what it would meet. `target` is what was seen at the
/// path; `None` where there is no such bucket.
pub(super) fn write(
    access: &Access,
    (bucket, path): (&BucketName, &ObjectPath),
    mode: &PutMode,
    target: Option<Target>,
) -> Result<Target, StorageError> {
    let first = first_permission(mode);
    let context = access.on_object(first, bucket, path)?;
    let Some(target) = target else {
        return Err(bucket_missing(context, first, bucket));
    };
    let refuse = |permission, reason| refusal(context, permission, bucket, reason);
    let policy = &target.policy;
    let closed = BucketGrant::of(&target.bucket, context) == BucketGrant::Nothing;
    if closed && !target.visible && !policy.opens_writes {
        // Every path answers alike: nothing tells which ones exist.
        return Err(refuse(first, DenialReason::BucketPolicy));
    }
    let by_policy = |reason: &Option<DenialReason>, usual| reason.clone().unwrap_or(usual);
    let no_create = || by_policy(&policy.refuses_create, DenialReason::BucketPolicy);
    let failed = || StorageError::PreconditionFailed { bucket: bucket.clone(), path: path.clone() };
    match (verdict(&target, mode), mode) {
        (Verdict::Create, _) if !target.creatable => Err(refuse(Permission::ObjectCreate, no_create())),
        (Verdict::Create, _) => Ok(target),
        // Who sees nothing there and may make nothing there is answered as if there were nothing; but who may replace it is
        // told what that takes.
        (Verdict::Overwrite, _)
            if !target.visible
                && !target.creatable
                && policy.refuses_overwrite != Some(DenialReason::MissingSelect) =>
        {
            Err(refuse(Permission::ObjectCreate, no_create()))
        }
        (Verdict::Overwrite, _) => {
            access.on_object(Permission::ObjectOverwrite, bucket, path)?;
            if !target.overwritable {
                let reason = by_policy(&policy.refuses_overwrite, DenialReason::NotOwner);
                return Err(refuse(Permission::ObjectOverwrite, reason));
            }
            // Who may replace only what a condition names, does not propose a row that may not be made.
            match (mode, &policy.refuses_create) {
                (PutMode::Upsert | PutMode::IfNoneMatch(_), Some(reason)) => {
                    Err(refuse(Permission::ObjectCreate, reason.clone()))
                }
                _ => Ok(target),
            }
        }
        (Verdict::Taken, _) if !target.creatable && !target.overwritable => {
            Err(refuse(Permission::ObjectCreate, no_create()))
        }
        (Verdict::Taken, PutMode::Create) => {
            Err(StorageError::ObjectExists { bucket: bucket.clone(), path: path.clone() })
        }
        (Verdict::Taken | Verdict::Unmet, _) => Err(failed()),
    }
}

/// Decides whether a URL may be signed that writes in this mode. Of what the caller can't see, the answer tells
/// nothing.
pub(super) fn sign(
    access: &Access,
    at: (&BucketName, &ObjectPath),
    mode: &PutMode,
    target: Option<Target>,
) -> Result<(), StorageError> {
    write(access, at, mode, target.map(Target::without_unseen)).map(drop)
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

/// A null version that a write takes away beside what it replaces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Freed {
    /// Its size, in bytes.
    pub(super) bytes: u64,
    /// For whom they count.
    pub(super) owner: Option<Uuid>,
}

/// Leave to write into what [`write`] let in, within the bucket's quota and those of `limits`.
pub(super) fn admission(access: &Access, target: Target, limits: &Limits, freed: Option<Freed>) -> Admission {
    // What is kept as a version gives nothing back.
    let keeps = |object: &&StorageObject| target.bucket.config.versioning.keeps(object.versioned);
    let returned = target.existing.as_ref().filter(|object| !keeps(object)).map_or(0, |object| object.size);
    let charged = charged(access, &target);
    let to_user = freed.filter(|freed| freed.owner == charged).map_or(0, |freed| freed.bytes);
    let to_bucket = freed.map_or(0, |freed| freed.bytes);
    let left = |scope, name: Arc<str>, used, limit, freed: u64| QuotaLeft {
        scope,
        name,
        used,
        limit,
        returned: returned.saturating_add(freed),
        enforcement: limits.enforcement,
    };
    let of_bucket = target.bucket.config.quota_bytes;
    let name = target.bucket.name.as_str();
    let of_bucket =
        of_bucket.map(|limit| left("bucket", name.into(), target.bucket.used_bytes(), limit, to_bucket));
    let user = || Arc::<str>::from(charged.map(|user| user.to_string()).unwrap_or_default());
    let of_user = limits.user.map(|(used, limit)| left("user", user(), used, limit, to_user));
    let of_folders = limits
        .folders
        .iter()
        .map(|(prefix, (used, limit))| left("folder", folder_name(name, prefix), *used, *limit, to_bucket));
    let of_all = limits.global.map(|(used, limit)| left("global", "".into(), used, limit, to_bucket));
    let quotas = of_bucket.into_iter().chain(of_user).chain(of_folders).chain(of_all);
    let quotas: Vec<_> = quotas.filter(|quota| quota.enforcement != QuotaEnforcement::Off).collect();
    let room = |quota: &&QuotaLeft| i128::from(quota.limit) - i128::from(quota.used);
    let quota_left = quotas.iter().min_by_key(room).cloned();
    Admission { bucket: target.bucket, quota_left, quotas, enforcement: limits.enforcement, asks_more: false }
}

/// For whom the bytes of a write count: whose object it replaces, or who makes it.
pub(super) fn charged(access: &Access, target: &Target) -> Option<Uuid> {
    match &target.existing {
        Some(object) => object.owner_id,
        None => access.context().user_id(),
    }
}

/// Decides whether what is at a path may be deleted: the object, or `None` where no row is visible.
pub(super) fn delete(
    access: &Access,
    (bucket, path): (&BucketName, &ObjectPath),
    target: Option<Target>,
) -> Result<Option<StorageObject>, StorageError> {
    let permission = Permission::ObjectDelete;
    let context = access.on_object(permission, bucket, path)?;
    let Some(target) = target else {
        return Err(bucket_missing(context, permission, bucket));
    };
    match target.existing {
        Some(object) if target.deletable => Ok(Some(object)),
        Some(_) if target.visible => {
            let reason = target.policy.refuses_delete.unwrap_or(DenialReason::NotOwner);
            Err(refusal(context, permission, bucket, reason))
        }
        _ => match BucketGrant::of(&target.bucket, context).or_rows(target.policy.opens_reads) {
            BucketGrant::Nothing => Err(refusal(context, permission, bucket, DenialReason::BucketPolicy)),
            BucketGrant::OwnRows | BucketGrant::Read | BucketGrant::ReadWrite | BucketGrant::All => Ok(None),
        },
    }
}

/// Decides whether a condition lets what was found be deleted (RFC 9110, `If-Match`); nothing fits no condition.
pub(super) fn matches(
    condition: Option<&ETags>,
    (bucket, path): (&BucketName, &ObjectPath),
    found: Option<&StorageObject>,
) -> Result<(), StorageError> {
    match condition {
        Some(tags) if !found.is_some_and(|object| tags.contains(&object.etag)) => {
            Err(StorageError::PreconditionFailed { bucket: bucket.clone(), path: path.clone() })
        }
        Some(_) | None => Ok(()),
    }
}

/// Decides whether what was found is the version that was meant, where one was.
pub(super) fn is_still(version: Option<Uuid>, found: &StorageObject) -> Result<(), StorageError> {
    match version {
        Some(version) if version != found.version => {
            let (bucket, path) = (found.bucket.clone(), found.path.clone());
            Err(StorageError::PreconditionFailed { bucket, path })
        }
        Some(_) | None => Ok(()),
    }
}

/// Decides whether what is at a path may be moved away: it must be the caller's to read and to delete.
pub(super) fn source(
    access: &Access,
    (bucket, path): (&BucketName, &ObjectPath),
    target: Option<Target>,
) -> Result<StorageObject, StorageError> {
    let context = access.on_object(Permission::ObjectRead, bucket, path)?;
    access.on_object(Permission::ObjectDelete, bucket, path)?;
    let Some(target) = target else {
        return Err(bucket_missing(context, Permission::ObjectRead, bucket));
    };
    match target.existing {
        Some(object) if target.visible && target.deletable => Ok(object),
        Some(_) if target.visible => {
            let reason = target.policy.refuses_delete.unwrap_or(DenialReason::NotOwner);
            Err(refusal(context, Permission::ObjectDelete, bucket, reason))
        }
        _ => {
            let grant = BucketGrant::of(&target.bucket, context).or_rows(target.policy.opens_reads);
            Err(grant.missing(context, Permission::ObjectRead, bucket, path))
        }
    }
}

/// Whether a bucket takes an object that comes from another one: its limits, and whose rows the caller may bring.
/// Where only rows of one's own may be made, somebody else's is not moved in.
pub(super) fn takes(access: &Access, bucket: &Bucket, object: &StorageObject) -> Result<(), StorageError> {
    let context = access.context();
    let own = object.owner_id.is_some() && object.owner_id == context.user_id();
    match BucketGrant::of(bucket, context) {
        BucketGrant::All | BucketGrant::ReadWrite => {}
        BucketGrant::Nothing | BucketGrant::OwnRows | BucketGrant::Read if own => {}
        BucketGrant::Nothing | BucketGrant::OwnRows | BucketGrant::Read => {
            return Err(refusal(context, Permission::ObjectCreate, &bucket.name, DenialReason::NotOwner));
        }
    }
    let limit = bucket.config.max_file_size;
    if limit > 0 && object.size > limit {
        return Err(StorageError::PayloadTooLarge { limit });
    }
    if !bucket.config.is_mime_allowed(&object.content_type) {
        let content_type = object.content_type.clone();
        return Err(StorageError::UnsupportedMediaType { content_type });
    }
    Ok(())
}

/// The bucket, if the permission holds for it. `seen` is the bucket, and whether the permission's predicate holds.
pub(super) fn reach(
    context: &RlsContext,
    permission: Permission,
    name: &BucketName,
    seen: Option<(Bucket, bool)>,
) -> Result<Bucket, StorageError> {
    let Some((bucket, granted)) = seen else {
        return Err(bucket_missing(context, permission, name));
    };
    if granted {
        return Ok(bucket);
    }
    let reason = match BucketGrant::of(&bucket, context) {
        BucketGrant::Nothing | BucketGrant::OwnRows => DenialReason::BucketPolicy,
        BucketGrant::Read | BucketGrant::ReadWrite | BucketGrant::All => DenialReason::NotOwner,
    };
    Err(refusal(context, permission, name, reason))
}

/// A refusal, in the form that fits the caller.
pub(super) fn refusal(
    context: &RlsContext,
    permission: Permission,
    bucket: &BucketName,
    reason: DenialReason,
) -> StorageError {
    denied(context, Denial { permission, bucket: Some(bucket.clone()), reason })
}
