//! What policies say of a row that is about to be written.

use std::sync::Arc;

use super::{Candidate, Policy, PolicySet};
use crate::errors::DenialReason;
use crate::file::StorageObject;
use crate::permissions::{Permission, RlsContext};
use crate::sql::{Asker, Comparison, Expr, Value};

/// What a condition is for a row of which not everything may be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Holds,
    Fails,
    /// Not to be said before the row is known: let through for now.
    Open,
}

/// Why a row may not be written, or that it may.
pub type Finding = Result<(), DenialReason>;

/// What SPEC 3.2's table gives the caller at a path, and what is there.
#[derive(Debug, Clone, Copy)]
pub struct Writing<'a> {
    /// The row that is there.
    pub existing: Option<&'a StorageObject>,
    /// By the table alone: may a row be made, the one there be replaced, and be read?
    pub creates: bool,
    /// See [`Writing::creates`].
    pub overwrites: bool,
    /// See [`Writing::creates`].
    pub reads: bool,
}

/// What policies and the table together say of making the row, and of putting it in place of the one that is there.
pub fn judge(
    policies: &PolicySet,
    context: &RlsContext,
    now: i64,
    writing: Writing<'_>,
    candidate: &Candidate,
    moved: bool,
) -> (Finding, Finding) {
    let asker = context.asker(now);
    let ask =
        |permission, granted, row: &Candidate| combined(policies, context, &asker, permission, granted, row);
    let own = if moved { candidate.clone() } else { candidate.owned_by(context.user_id()) };
    // Where a row is replaced, the table that lets it be replaced lets it be proposed.
    let create = ask(Permission::ObjectCreate, writing.creates || writing.overwrites, &own);
    let overwrite = match writing.existing {
        None => Ok(()),
        Some(old) => {
            let result = if moved { candidate.clone() } else { candidate.in_place_of(old) };
            ask(Permission::ObjectOverwrite, writing.overwrites, &result)
                // What is written must be the writer's to see.
                .and_then(|()| ask(Permission::ObjectRead, writing.reads, &result))
        }
    };
    (create, overwrite)
}

/// Whether it is worth asking again about the row once more of it is known, before its bytes.
pub fn asks_more(policies: &PolicySet, context: &RlsContext, candidate: &Candidate) -> bool {
    let written = [Permission::ObjectCreate, Permission::ObjectOverwrite, Permission::ObjectRead];
    let said = |permission| {
        let of = |permissive| policies.new_rows(context.role(), permission, permissive);
        of(true).chain(of(false))
    };
    let mut columns = written.into_iter().flat_map(said).flat_map(|(_, condition)| condition.columns());
    columns.any(|column| candidate.may_learn(column))
}

/// What policies and the table together say of a row that is there; `granted` is what the table alone says. What an
/// engine's predicate says of the row, in the same order.
///
/// # Errors
/// [`DenialReason::PolicyFailed`] where a condition that is asked can't be computed.
pub fn holds(
    policies: &PolicySet,
    context: &RlsContext,
    now: i64,
    permission: Permission,
    granted: bool,
    row: &StorageObject,
) -> Result<bool, DenialReason> {
    let (asker, row, role) = (context.asker(now), Candidate::object(row), context.role());
    let ask = |policy: &Policy, condition: &Expr| answer(context, policy, condition, &asker, &row);
    for (policy, condition) in policies.old_rows(role, permission, false) {
        if ask(policy, condition)? != Answer::Holds {
            return Ok(false);
        }
    }
    if granted {
        return Ok(true);
    }
    for (policy, condition) in policies.old_rows(role, permission, true) {
        if ask(policy, condition)? == Answer::Holds {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What policies and the table together would say of reading a row that is gone; `granted` is what the table alone says. A
/// condition that asks for more than is known of the row does not hold, whatever it is made of.
pub fn would_show(
    policies: &PolicySet,
    context: &RlsContext,
    now: i64,
    granted: bool,
    row: &Candidate,
) -> bool {
    let (asker, role, read) = (context.asker(now), context.role(), Permission::ObjectRead);
    let holds = |(policy, condition): (&Policy, &Expr)| {
        condition.columns().into_iter().all(|column| row.knows(column))
            && answer(context, policy, condition, &asker, row) == Ok(Answer::Holds)
    };
    policies.old_rows(role, read, false).all(holds)
        && (granted || policies.old_rows(role, read, true).any(holds))
}

/// Whether all policies that restrict hold, and the table or a policy grants.
fn combined(
    policies: &PolicySet,
    context: &RlsContext,
    asker: &Asker<'_>,
    permission: Permission,
    granted: bool,
    row: &Candidate,
) -> Finding {
    let role = context.role();
    let ask = |policy: &Policy, condition: &Expr| answer(context, policy, condition, asker, row);
    for (policy, condition) in policies.new_rows(role, permission, false) {
        if ask(policy, condition)? == Answer::Fails {
            return Err(DenialReason::RestrictivePolicy(Arc::clone(&policy.name)));
        }
    }
    if granted {
        return Ok(());
    }
    for (policy, condition) in policies.new_rows(role, permission, true) {
        if ask(policy, condition)? != Answer::Fails {
            return Ok(());
        }
    }
    Err(DenialReason::BucketPolicy)
}

fn answer(
    context: &RlsContext,
    policy: &Policy,
    condition: &Expr,
    asker: &Asker<'_>,
    row: &Candidate,
) -> Result<Answer, DenialReason> {
    let open = condition.columns().into_iter().any(|column| !row.knows(column));
    match condition.evaluate(asker, row) {
        Ok(Value::Bool(true)) => Ok(Answer::Holds),
        Ok(Value::Bool(false)) if open && !is_monotone(condition) => Ok(Answer::Open),
        Ok(Value::Bool(false)) => Ok(Answer::Fails),
        _ if open => Ok(Answer::Open),
        Ok(_) => Ok(Answer::Fails),
        Err(error) => {
            tracing::warn!(
                request_id = context.request_id(), policy = %policy.name, %error, "a policy failed, and so refuses"
            );
            Err(DenialReason::PolicyFailed)
        }
    }
}

/// Whether false stays false when what is NULL becomes known.
fn is_monotone(condition: &Expr) -> bool {
    let mut monotone = true;
    condition.visit(&mut |expr| {
        monotone &= !matches!(
            expr,
            Expr::Is(..)
                | Expr::Coalesce(..)
                | Expr::Case(..)
                | Expr::NullIf(..)
                | Expr::Compare(Comparison::Distinct | Comparison::NotDistinct, ..)
        );
    });
    monotone
}
