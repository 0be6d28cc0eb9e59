//! Row-level security: what each permission takes, as a predicate that the statements themselves carry.
//!
//! The one place that says SPEC 3.2's table in SQL. A predicate speaks of the bucket's row as `b`, of the
//! object's as `o`, and of the caller by the parameters `:role` and `:uid`. Nothing is filtered afterwards.
//!
//! `owner_id = :uid` is never true for a caller without a user, as nothing equals NULL.

use std::borrow::Cow;

use rusqlite::ToSql;
use uuid::Uuid;

use super::errors::Fault;
use super::functions;
use super::rows::{micros, now};
use super::rules::Rules;
use crate::bucket::BucketName;
use crate::errors::DenialReason;
use crate::executor::decide;
use crate::permissions::{Permission, RlsContext};

/// The predicate under which the table alone gives a permission for a row. SQL policies are added in `rules`.
pub(super) fn builtin(permission: Permission) -> &'static str {
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
        // Of the upload's row, as `m`: who began it, by role and user, also where both are nobody's.
        Permission::UploadContinue => "(:role = 'service_role' OR (m.role = :role AND m.owner_id IS :uid))",
        Permission::UsageRead => "(:role IN ('service_role', 'authenticated') AND u.user_id = :uid)",
        // Of the entry, or the job, as `u`.
        Permission::QueueRead | Permission::JobRead => {
            "(:role = 'service_role' OR (:role = 'authenticated' AND u.user_id = :uid))"
        }
        Permission::Explain => "1",
        Permission::Maintain => "(:role = 'service_role')",
    }
}

/// The same for reading a version that is not current, which is more than reading what is: a bucket's policy opens what is
/// there now. It takes what deleting the version takes.
pub(super) fn builtin_of_version() -> &'static str {
    builtin(Permission::ObjectDelete)
}

/// A predicate as a column that is 1 where it holds and else 0.
pub(super) fn is_true(predicate: &str) -> String {
    format!("({predicate} IS TRUE)")
}

/// The caller as statements see it.
pub(super) struct Caller {
    /// For `:role`.
    pub(super) role: &'static str,
    /// For `:uid`.
    pub(super) uid: Option<String>,
    /// For `:caller`, where policies speak about the role.
    caller: Option<String>,
}

impl Caller {
    /// The caller of statements about objects, under the rules in force.
    pub(super) fn under(rules: &Rules, context: &RlsContext) -> Self {
        let asks = rules.of(context).has_policies();
        let caller = asks.then(|| functions::caller(context, micros(now())));
        Self { caller, ..Self::from(context) }
    }

    /// These parameters, and `:caller` where statements take it.
    pub(super) fn with<'a>(
        &'a self,
        parameters: &'a [(&'a str, &'a dyn ToSql)],
    ) -> Cow<'a, [(&'a str, &'a dyn ToSql)]> {
        match &self.caller {
            None => Cow::Borrowed(parameters),
            Some(caller) => {
                let mut all = parameters.to_vec();
                all.push((":caller", caller));
                Cow::Owned(all)
            }
        }
    }
}

/// Whether it was a policy that failed; then the log says which ones it may have been, and why.
pub(super) fn policy_failed(
    fault: &Fault,
    rules: &Rules,
    context: &RlsContext,
    permission: Permission,
    bucket: &BucketName,
) -> bool {
    let Some(why) = fault.of_policy() else { return false };
    let policies = rules.suspects(context, why);
    tracing::warn!(
        request_id = context.request_id(), %permission, %bucket, why, ?policies, "a policy failed, and so refuses"
    );
    true
}

/// A policy that failed refuses, where the answer tells of no row that the caller does not know of.
pub(super) fn refused(
    fault: Fault,
    rules: &Rules,
    context: &RlsContext,
    permission: Permission,
    bucket: &BucketName,
) -> Fault {
    if policy_failed(&fault, rules, context, permission, bucket) {
        return decide::refusal(context, permission, bucket, DenialReason::PolicyFailed).into();
    }
    fault
}

impl From<&RlsContext> for Caller {
    fn from(context: &RlsContext) -> Self {
        Self { role: context.role().as_str(), uid: context.user_id().map(text), caller: None }
    }
}

/// A uuid as the database has it.
pub(super) fn text(id: Uuid) -> String {
    id.hyphenated().to_string()
}
