//! The check that stands before every operation, and what it gives back.

use super::{Operation, Permission, PolicySet, RlsContext, Role};
use crate::bucket::{Bucket, BucketName, BucketPolicy};
use crate::errors::{Denial, DenialReason, StorageError};
use crate::path::ObjectPath;

/// Proof that a caller's role was checked for an operation. Every method of an executor demands one, and only
/// the functions here make one (FS-I3). It opens rows only as far as the database's predicates let the caller.
#[derive(Debug, Clone)]
pub struct Access {
    context: RlsContext,
    operation: &'static str,
    granted: u16,
    only: Option<(BucketName, ObjectPath)>,
}

/// What a server lets roles do, beyond rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AccessRules {
    /// Only the service role creates buckets (`buckets.creation: service`).
    pub only_service_creates_buckets: bool,
    /// What SQL policies may let anon do on some row. Whether they do is the database's to say.
    pub anon_by_policy: AnonGrants,
}

/// Permissions that SQL policies may give to callers without a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AnonGrants(u16);

/// What policies speak about.
const BY_POLICY: [Permission; 4] =
    [Permission::ObjectRead, Permission::ObjectCreate, Permission::ObjectOverwrite, Permission::ObjectDelete];

impl AnonGrants {
    /// What these policies may give.
    pub fn of(policies: &PolicySet) -> Self {
        let given = BY_POLICY.into_iter().filter(|permission| policies.grants(Role::Anon, *permission));
        Self(given.fold(0, |bits, permission| bits | bit(permission)))
    }

    /// All that policies could ever give.
    pub fn most() -> Self {
        Self(bits(&BY_POLICY))
    }

    fn include(self, permission: Permission) -> bool {
        self.0 & bit(permission) != 0
    }
}

impl Access {
    /// Checks whether the caller's role may do such a thing at all. Rows are the database's to decide.
    ///
    /// # Errors
    /// [`StorageError::AuthRequired`] for anon, [`StorageError::Unauthorized`] for a user.
    pub fn check(
        context: &RlsContext,
        operation: Operation<'_>,
        bucket: Option<&BucketName>,
        rules: AccessRules,
    ) -> Result<Self, StorageError> {
        let may = |permission: &Permission| role_may(context.role(), *permission, rules);
        for permission in operation.permissions() {
            if !may(permission) {
                let reason = DenialReason::Role;
                return Err(denied(
                    context,
                    Denial { permission: *permission, bucket: bucket.cloned(), reason },
                ));
            }
        }
        // What may be needed is refused when it turns out to be.
        let perhaps = operation.where_taken().filter(may).map_or(0, bit);
        let granted = bits(operation.permissions()) | perhaps;
        Ok(Self { context: context.clone(), operation: operation.name(), granted, only: None })
    }

    /// Access by a signed download URL to the one object it was made for: exempt from row-level security by design
    /// (SPEC 3.4). Callers hold a verified token.
    pub(crate) fn signed(
        operation: Operation<'_>,
        bearer: &RlsContext,
        bucket: BucketName,
        path: ObjectPath,
    ) -> Self {
        let context = RlsContext::service(None, serde_json::Map::new(), "").asked_by(bearer);
        let granted = bits(operation.permissions());
        Self { context, operation: operation.name(), granted, only: Some((bucket, path)) }
    }

    /// The same access, to this object and to no other.
    #[must_use]
    pub(crate) fn narrowed(self, bucket: BucketName, path: ObjectPath) -> Self {
        Self { only: Some((bucket, path)), ..self }
    }

    /// The caller, for a statement that uses this permission's predicate on this object.
    ///
    /// # Errors
    /// [`StorageError::Unauthorized`], or [`StorageError::AuthRequired`] for anon: the caller's role lacks what the
    /// operation turned out to need. Also where it did not ask for the permission, or the access is to another object: a
    /// fault in our code that must not open a row.
    pub fn on_object(
        &self,
        permission: Permission,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<&RlsContext, StorageError> {
        if self.only.as_ref().is_some_and(|(b, p)| b != bucket || p != path) {
            let reason = DenialReason::TokenScope;
            return Err(StorageError::Unauthorized(Denial {
                permission,
                bucket: Some(bucket.clone()),
                reason,
            }));
        }
        self.granted_to(permission, Some(bucket))
    }

    /// The caller, for a statement over many rows of a bucket, or over buckets, under this permission's predicate.
    ///
    /// # Errors
    /// As [`Access::on_object`]; access to one object gives none to many.
    pub fn on_rows(
        &self,
        permission: Permission,
        bucket: Option<&BucketName>,
    ) -> Result<&RlsContext, StorageError> {
        if self.only.is_some() {
            let reason = DenialReason::TokenScope;
            return Err(StorageError::Unauthorized(Denial { permission, bucket: bucket.cloned(), reason }));
        }
        self.granted_to(permission, bucket)
    }

    fn granted_to(
        &self,
        permission: Permission,
        bucket: Option<&BucketName>,
    ) -> Result<&RlsContext, StorageError> {
        if self.granted & bit(permission) == 0 {
            let reason = DenialReason::Role;
            return Err(denied(&self.context, Denial { permission, bucket: bucket.cloned(), reason }));
        }
        Ok(&self.context)
    }

    /// Name of the operation that it was checked for.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// Whether a signed URL gave it, for one object.
    pub fn is_signed(&self) -> bool {
        self.only.is_some()
    }

    /// Who is asking.
    pub fn context(&self) -> &RlsContext {
        &self.context
    }
}

fn bit(permission: Permission) -> u16 {
    1 << (permission as u8)
}

fn bits(permissions: &[Permission]) -> u16 {
    permissions.iter().fold(0, |bits, permission| bits | bit(*permission))
}

/// Whether a role can ever have a permission, on the most open of rows.
fn role_may(role: Role, permission: Permission, rules: AccessRules) -> bool {
    match (role, permission) {
        (Role::ServiceRole, _) => true,
        (_, Permission::Maintain) => false,
        (Role::Authenticated, Permission::BucketCreate) => !rules.only_service_creates_buckets,
        (Role::Authenticated, _) => true,
        (Role::Anon, Permission::ObjectRead | Permission::BucketRead | Permission::Explain) => true,
        (Role::Anon, permission) if rules.anon_by_policy.include(permission) => true,
        // Who may begin one may go on with it.
        (Role::Anon, Permission::UploadContinue) => {
            rules.anon_by_policy.include(Permission::ObjectCreate)
                || rules.anon_by_policy.include(Permission::ObjectOverwrite)
        }
        (
            Role::Anon,
            Permission::BucketCreate
            | Permission::BucketUpdate
            | Permission::BucketDelete
            | Permission::ObjectCreate
            | Permission::ObjectOverwrite
            | Permission::ObjectDelete
            | Permission::UsageRead
            | Permission::QueueRead
            | Permission::JobRead,
        ) => false,
    }
}

/// A refusal, in the form that fits the caller: one who showed no token is asked for one.
pub(crate) fn denied(context: &RlsContext, denial: Denial) -> StorageError {
    match context.role() {
        Role::Anon => StorageError::AuthRequired(denial),
        Role::Authenticated | Role::ServiceRole => StorageError::Unauthorized(denial),
    }
}

/// What a bucket's policy as such grants a caller, whatever the rows in it. It decides between "not found" and
/// "refused" and never looks at rows, so that an answer does not tell which paths exist (SPEC 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketGrant {
    /// Nothing: every path in it answers alike.
    Nothing,
    /// A system bucket's: everyone sees and writes rows of their own.
    OwnRows,
    /// All rows may be read.
    Read,
    /// All rows may be read, any row created and overwritten.
    ReadWrite,
    /// Everything.
    All,
}

impl BucketGrant {
    /// What this bucket grants this caller.
    pub fn of(bucket: &Bucket, context: &RlsContext) -> Self {
        let policy = bucket.config.policy;
        match (context.role(), context.user_id()) {
            (Role::ServiceRole, _) => Self::All,
            (Role::Authenticated, Some(user)) if bucket.owner_id == Some(user) => Self::All,
            (Role::Authenticated, Some(_)) => match policy {
                BucketPolicy::Public => Self::Read,
                BucketPolicy::Authenticated => Self::ReadWrite,
                BucketPolicy::Private if bucket.owner_id.is_none() => Self::OwnRows,
                BucketPolicy::Private => Self::Nothing,
            },
            (Role::Anon | Role::Authenticated, _) => match policy {
                BucketPolicy::Public => Self::Read,
                BucketPolicy::Authenticated | BucketPolicy::Private => Self::Nothing,
            },
        }
    }

    /// What it is where policies may show rows of the bucket: rows decide then, and a missing one is an invisible one.
    #[must_use]
    pub fn or_rows(self, opened: bool) -> Self {
        match self {
            Self::Nothing if opened => Self::OwnRows,
            grant => grant,
        }
    }

    /// The answer where a row is missing or invisible: the same for both.
    pub(crate) fn missing(
        self,
        context: &RlsContext,
        permission: Permission,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> StorageError {
        match self {
            Self::Nothing => {
                let reason = DenialReason::BucketPolicy;
                denied(context, Denial { permission, bucket: Some(bucket.clone()), reason })
            }
            Self::OwnRows | Self::Read | Self::ReadWrite | Self::All => {
                StorageError::ObjectNotFound { bucket: bucket.clone(), path: path.clone() }
            }
        }
    }
}

/// The answer where a bucket is not there: anon is not told, a known caller is.
pub(crate) fn bucket_missing(
    context: &RlsContext,
    permission: Permission,
    bucket: &BucketName,
) -> StorageError {
    match context.role() {
        Role::Anon => {
            let reason = DenialReason::BucketPolicy;
            StorageError::AuthRequired(Denial { permission, bucket: Some(bucket.clone()), reason })
        }
        Role::Authenticated | Role::ServiceRole => StorageError::BucketNotFound { bucket: bucket.clone() },
    }
}
