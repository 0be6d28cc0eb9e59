//! Row-level security: who a statement runs as, and what each permission takes where the keeper has to say it.
//!
//! What users are shown and what they change is decided by the native policies: the table's (`migrations/0002`), and
//! those that people add (`policies`). The predicates
//! here say the same of SPEC 3.2's table, for the decision about a write before it is tried: the answer to a refusal
//! depends on rows that the caller can't see. They speak of the bucket's row as `b`, of the object's as `o`, and of
//! the caller by the first two parameters, role and user. `owner_id = $2` is never true for a caller without a user.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::errors::Fault;
use super::pool::Pool;
use super::rules;
use crate::bucket::BucketName;
use crate::errors::DenialReason;
use crate::executor::decide;
use crate::permissions::{Permission, RlsContext};

/// The role that changes rows in nobody's name, and that no user can become.
pub(super) const KEEPER: &str = "aerostore_keeper";

/// Whom a statement runs as.
pub(super) struct Caller {
    /// The database's role.
    pub(super) role: &'static str,
    /// The claims, as JSON.
    pub(super) claims: String,
    /// Whether tables may be scanned.
    pub(super) scans: bool,
}

impl Caller {
    /// The caller as such, under row-level security.
    pub(super) fn of(context: &RlsContext) -> Self {
        Self { role: context.role().as_str(), claims: claims(context), scans: false }
    }

    /// The keeper, asking conditions as if the caller did.
    pub(super) fn keeper_for(context: &RlsContext) -> Self {
        Self { role: KEEPER, claims: claims(context), scans: true }
    }

    /// The keeper, who sees all rows.
    pub(super) fn keeper() -> Self {
        Self { role: KEEPER, claims: String::new(), scans: true }
    }

    /// The keeper, for a statement that knows the keys of all that it looks at.
    pub(super) fn keeper_by_keys() -> Self {
        Self::keeper().by_keys()
    }

    /// The same, for a statement that knows the keys of all that it looks at.
    pub(super) fn by_keys(self) -> Self {
        Self { scans: false, ..self }
    }
}

fn claims(context: &RlsContext) -> String {
    Value::Object(context.effective_claims()).to_string()
}

/// The caller as predicates see it.
pub(super) struct Subject {
    /// For `$1`.
    pub(super) role: &'static str,
    /// For `$2`.
    pub(super) user: Option<Uuid>,
}

impl From<&RlsContext> for Subject {
    fn from(context: &RlsContext) -> Self {
        Self { role: context.role().as_str(), user: context.user_id() }
    }
}

/// Whether it was a policy that failed; then the log says why, and which ones it may have been: PostgreSQL does not tell.
pub(super) async fn policy_failed(
    fault: &Fault,
    pool: &Arc<Pool>,
    context: &RlsContext,
    permission: Permission,
    bucket: &BucketName,
) -> bool {
    let why = match fault.of_policy() {
        Some(why) if !context.is_service() => why,
        _ => return false,
    };
    // What is rare is kept out of the futures of what is not.
    let rules = Box::pin(rules::current(pool)).await.unwrap_or_default();
    let policies = rules.suspects(context, permission);
    tracing::warn!(
        request_id = context.request_id(), %permission, %bucket, why, ?policies, "a policy failed, and so refuses"
    );
    true
}

/// A policy that failed refuses, where the answer tells of no row that the caller does not know of.
pub(super) async fn refused(
    fault: Fault,
    pool: &Arc<Pool>,
    context: &RlsContext,
    permission: Permission,
    bucket: &BucketName,
) -> Fault {
    if policy_failed(&fault, pool, context, permission, bucket).await {
        return decide::refusal(context, permission, bucket, DenialReason::PolicyFailed).into();
    }
    fault
}

/// The predicate under which a permission on a bucket or an object holds, as a column that is never NULL.
pub(super) fn flag(permission: Permission) -> String {
    let users = match permission {
        Permission::BucketRead => "b.policy = 'authenticated' OR b.owner_id = $2",
        Permission::BucketUpdate | Permission::BucketDelete => "b.owner_id = $2",
        Permission::ObjectRead => "b.policy = 'authenticated' OR o.owner_id = $2 OR b.owner_id = $2",
        Permission::ObjectCreate => "b.policy = 'authenticated' OR b.owner_id = $2 OR b.owner_id IS NULL",
        Permission::ObjectOverwrite => "b.policy = 'authenticated' OR o.owner_id = $2 OR b.owner_id = $2",
        Permission::ObjectDelete => "o.owner_id = $2 OR b.owner_id = $2",
        // Not about a row that is there: roles decide, before any statement.
        Permission::BucketCreate
        | Permission::UploadContinue
        | Permission::UsageRead
        | Permission::QueueRead
        | Permission::JobRead
        | Permission::Maintain
        | Permission::Explain => "false",
    };
    let anyones = match permission {
        Permission::BucketRead | Permission::ObjectRead => "b.policy = 'public' OR ",
        Permission::BucketCreate
        | Permission::BucketUpdate
        | Permission::BucketDelete
        | Permission::ObjectCreate
        | Permission::ObjectOverwrite
        | Permission::ObjectDelete
        | Permission::UploadContinue
        | Permission::UsageRead
        | Permission::QueueRead
        | Permission::JobRead
        | Permission::Maintain
        | Permission::Explain => "",
    };
    format!(
        "coalesce($1::text = 'service_role' OR {anyones}($1::text = 'authenticated' AND ({users})), false)"
    )
    .replace("$2", "$2::uuid")
}
