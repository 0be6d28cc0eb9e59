//! Why a caller was refused.

use std::sync::Arc;

use crate::bucket::BucketName;
use crate::permissions::Permission;

/// Which permission was missing, on what, and why: as much of it as the caller may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The permission that the operation needs.
    pub permission: Permission,
    /// The bucket it was needed on.
    pub bucket: Option<BucketName>,
    /// The rule that refused.
    pub reason: DenialReason,
}

/// The rule that refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DenialReason {
    /// The role as such never has this permission.
    Role,
    /// The bucket's policy gives the caller nothing here.
    BucketPolicy,
    /// The row belongs to somebody else.
    NotOwner,
    /// The token of a signed URL was made for something else.
    TokenScope,
    /// A restrictive SQL policy of this name does not hold.
    RestrictivePolicy(Arc<str>),
    /// Who replaces an object must be able to see it.
    MissingSelect,
    /// A SQL policy could not be computed; which one and why, the log says.
    PolicyFailed,
}

impl Denial {
    /// What was refused, without the reason.
    pub fn summary(&self) -> String {
        let permission = self.permission;
        match &self.bucket {
            Some(bucket) => format!("{permission} on bucket '{bucket}' refused"),
            None => format!("{permission} refused"),
        }
    }
}

impl std::fmt::Display for Denial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.summary(), self.reason)
    }
}

impl std::fmt::Display for DenialReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::RestrictivePolicy(name) => return write!(f, "the policy \"{name}\" does not allow it"),
            Self::MissingSelect => "overwriting also takes the permission to read (SELECT)",
            Self::PolicyFailed => "a policy could not be computed",
            Self::Role => "the caller's role does not have it",
            Self::BucketPolicy => "the bucket's policy does not grant it to the caller",
            Self::NotOwner => "only the owner of the object or of the bucket has it",
            Self::TokenScope => "the signed token was made for something else",
        })
    }
}
