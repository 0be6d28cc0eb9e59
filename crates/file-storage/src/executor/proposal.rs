//! What SQL policies say of a path: of the row that is about to be written there, and of the one that is there, where the
//! engine's own statement does not say. Asked of what the engine saw, before it decides ([`super::decide`]). Knows no SQL.

use crate::bucket::BucketName;
use crate::errors::DenialReason;
use crate::executor::decide::{PolicyView, Target};
use crate::permissions::policy::{Candidate, Writing, holds, judge};
use crate::permissions::{Permission, PolicySet, RlsContext};

/// What is to happen at a path: only what that takes is asked, as a policy that is not asked can't fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Make or replace an object.
    Write,
    /// Delete it, or move it away.
    Remove,
}

/// What was seen at a path, and what the table alone would say of it.
pub(super) struct Seen {
    pub(super) target: Target,
    /// By the table alone: may the row that is there be read?
    pub(super) reads: bool,
    /// By the table alone: may it be replaced?
    pub(super) overwrites: bool,
}

/// A row that is about to be written: a new one, or one that comes from elsewhere and keeps its owner.
#[derive(Clone, Copy)]
pub(super) enum Proposed<'a> {
    /// Of the caller's, as far as it is known.
    Own(&'a Candidate),
    /// As it will be.
    Moved(&'a Candidate),
}

/// What policies may open in a bucket, whatever rows there are.
pub(super) fn view(policies: &PolicySet, context: &RlsContext, bucket: &BucketName) -> PolicyView {
    let opens = |permission| policies.opens(context.role(), permission, bucket);
    PolicyView {
        opens_reads: opens(Permission::ObjectRead),
        opens_writes: opens(Permission::ObjectCreate) || opens(Permission::ObjectOverwrite),
        ..PolicyView::default()
    }
}

impl Seen {
    /// What the caller can see of it: an invisible row is none.
    pub(super) fn without_unseen(self) -> Self {
        Self { target: self.target.without_unseen(), ..self }
    }

    /// Asks policies about the row that is there, of which only the table was asked so far. One that fails does not hold: what
    /// it hides is as good as missing, and only who sees the row is told that a policy failed.
    pub(super) fn ask_of_old_row(
        &mut self,
        policies: &PolicySet,
        context: &RlsContext,
        now: i64,
        purpose: Purpose,
    ) {
        let target = &mut self.target;
        let Some(object) = &target.existing else { return };
        let ask = |permission, table| holds(policies, context, now, permission, table, object);
        target.visible = ask(Permission::ObjectRead, target.visible).unwrap_or(false);
        let told = |reason| Some(reason).filter(|_| target.visible);
        match purpose {
            Purpose::Write => {
                let overwrite = ask(Permission::ObjectOverwrite, target.overwritable);
                target.policy.refuses_overwrite = overwrite.as_ref().err().cloned().and_then(told);
                target.overwritable = overwrite.unwrap_or(false);
                target.deletable = false;
            }
            Purpose::Remove => {
                let delete = ask(Permission::ObjectDelete, target.deletable);
                target.policy.refuses_delete = delete.as_ref().err().cloned().and_then(told);
                target.overwritable = false;
                // What can't be seen can't be found to be deleted.
                target.deletable = delete.unwrap_or(false) && target.visible;
            }
        }
    }

    /// Asks policies about the row as it would be, at a time in microseconds since 1970.
    pub(super) fn ask_policies(
        &mut self,
        policies: &PolicySet,
        context: &RlsContext,
        now: i64,
        row: Proposed<'_>,
    ) {
        let (candidate, moved) = match row {
            Proposed::Own(candidate) => (candidate, false),
            Proposed::Moved(candidate) => (candidate, true),
        };
        let target = &mut self.target;
        let writing = Writing {
            existing: target.existing.as_ref(),
            creates: target.creatable,
            overwrites: self.overwrites,
            reads: self.reads,
        };
        let (create, overwrite) = judge(policies, context, now, writing, candidate, moved);
        target.creatable = create.is_ok();
        target.policy.refuses_create = create.err();
        let overwrite = match overwrite {
            _ if target.overwritable && !target.visible => Err(DenialReason::MissingSelect),
            overwrite => overwrite,
        };
        target.overwritable &= overwrite.is_ok();
        target.policy.refuses_overwrite = overwrite.err().or(target.policy.refuses_overwrite.take());
    }
}
