//! Row-level security: what each permission takes, as a predicate that the statements themselves carry.
//!
//! The one place that says SPEC 3.2's table in SQL. A predicate speaks of the bucket's row as `b`, of the
//! object's as `o`, and of the caller by the parameters `:role` and `:uid`. Nothing is filtered afterwards.
//!
//! `owner_id = :uid` is never true for a caller without a user, as nothing equals NULL.

use uuid::Uuid;

use crate::permissions::{Permission, RlsContext};

/// The predicate under which a permission holds for a row.
pub(super) fn predicate(permission: Permission) -> &'static str {
    match permission {
        Permission::BucketCreate => "(:role IN ('service_role', 'authenticated'))",
        Permission::BucketRead => {
            "(:role = 'service_role' OR b.policy = 'public' OR (:role = 'authenticated' \
             AND (b.policy = 'authenticated' OR b.owner_id = :uid)))"
        }
        Permission::BucketUpdate | Permission::BucketDelete => {
            "(:role = 'service_role' OR (:role = 'authenticated' AND b.owner_id = :uid))"
        }
        Permission::ObjectRead => {
            "(:role = 'service_role' OR b.policy = 'public' OR (:role = 'authenticated' \
             AND (b.policy = 'authenticated' OR o.owner_id = :uid OR b.owner_id = :uid)))"
        }
        Permission::ObjectCreate => {
            "(:role = 'service_role' OR (:role = 'authenticated' \
             AND (b.policy = 'authenticated' OR b.owner_id = :uid OR b.owner_id IS NULL)))"
        }
        Permission::ObjectOverwrite => {
            "(:role = 'service_role' OR (:role = 'authenticated' \
             AND (b.policy = 'authenticated' OR o.owner_id = :uid OR b.owner_id = :uid)))"
        }
        Permission::ObjectDelete => {
            "(:role = 'service_role' OR (:role = 'authenticated' \
             AND (o.owner_id = :uid OR b.owner_id = :uid)))"
        }
        Permission::UsageRead => "(:role IN ('service_role', 'authenticated') AND u.user_id = :uid)",
        Permission::Maintain => "(:role = 'service_role')",
    }
}

/// The predicate as a column that is 1 where it holds and else 0.
pub(super) fn flag(permission: Permission) -> String {
    format!("({} IS TRUE)", predicate(permission))
}

/// The caller as statements see it.
pub(super) struct Caller {
    /// For `:role`.
    pub(super) role: &'static str,
    /// For `:uid`.
    pub(super) uid: Option<String>,
}

impl From<&RlsContext> for Caller {
    fn from(context: &RlsContext) -> Self {
        Self { role: context.role().as_str(), uid: context.user_id().map(text) }
    }
}

/// A uuid as the database has it.
pub(super) fn text(id: Uuid) -> String {
    id.hyphenated().to_string()
}
