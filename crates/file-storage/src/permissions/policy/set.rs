//! The policies in force, and which of them speak for whom.

use std::sync::Arc;

use super::Policy;
use crate::bucket::BucketName;
use crate::permissions::{Permission, Role};
use crate::sql::{Comparison, Expr, Value};

/// All policies, in the order of their names.
#[derive(Debug, Clone, Default)]
pub struct PolicySet {
    policies: Vec<Arc<Policy>>,
}

impl FromIterator<Policy> for PolicySet {
    fn from_iter<I: IntoIterator<Item = Policy>>(policies: I) -> Self {
        let mut policies: Vec<_> = policies.into_iter().map(Arc::new).collect();
        policies.sort_by(|a, b| a.name.cmp(&b.name));
        Self { policies }
    }
}

impl PolicySet {
    /// All of them.
    pub fn all(&self) -> &[Arc<Policy>] {
        &self.policies
    }

    /// Those that speak about callers of a role.
    pub fn of(&self, role: Role) -> impl Iterator<Item = &Policy> {
        self.policies.iter().map(AsRef::as_ref).filter(move |policy| policy.is_for(role))
    }

    /// Those that grant, or those that restrict, in the order in which PostgreSQL asks them: what restricts by name, what
    /// grants from the last name to the first. It shows where one fails that another makes needless.
    fn asked(&self, role: Role, permissive: bool) -> impl Iterator<Item = &Policy> {
        let count = self.policies.len();
        let at = (0..count).map(move |at| if permissive { count - 1 - at } else { at });
        let policies = at.filter_map(|at| self.policies.get(at)).map(AsRef::as_ref);
        policies.filter(move |policy: &&Policy| policy.permissive == permissive && policy.is_for(role))
    }

    /// What rows that are there must fulfil, by the policies that grant or by those that restrict.
    pub fn old_rows(
        &self,
        role: Role,
        permission: Permission,
        permissive: bool,
    ) -> impl Iterator<Item = (&Policy, &Expr)> {
        let said = self.asked(role, permissive);
        certain_first(said.filter_map(move |policy| Some((policy, policy.of_old_row(permission)?))))
    }

    /// What rows that are about to be written must fulfil.
    pub fn new_rows(
        &self,
        role: Role,
        permission: Permission,
        permissive: bool,
    ) -> impl Iterator<Item = (&Policy, &Expr)> {
        let said = self.asked(role, permissive);
        certain_first(said.filter_map(move |policy| Some((policy, policy.of_new_row(permission)?))))
    }

    /// Whether some policy may give the role this permission, on some row.
    pub fn grants(&self, role: Role, permission: Permission) -> bool {
        self.new_rows(role, permission, true).next().is_some()
            || self.old_rows(role, permission, true).next().is_some()
    }

    /// Whether some policy may hide rows from the role that it could otherwise see.
    pub fn hides(&self, role: Role) -> bool {
        self.old_rows(role, Permission::ObjectRead, false).next().is_some()
    }

    /// Whether what the role sees may change by time alone, and without a write.
    pub fn follow_the_clock(&self, role: Role) -> bool {
        let asked = |permissive| self.old_rows(role, Permission::ObjectRead, permissive);
        asked(true).chain(asked(false)).any(|(_, condition)| condition.follows_the_clock())
    }

    /// Whether what the role sees of a row may depend on other rows.
    pub fn look_at_others(&self, role: Role) -> bool {
        let asked = |permissive| self.old_rows(role, Permission::ObjectRead, permissive);
        asked(true).chain(asked(false)).any(|(_, condition)| condition.looks_at_others())
    }

    /// Whether some policy may give the role this permission on some row of a bucket, whatever rows there are.
    pub fn opens(&self, role: Role, permission: Permission, bucket: &BucketName) -> bool {
        let mut said = self.new_rows(role, permission, true).chain(self.old_rows(role, permission, true));
        said.any(|(_, condition)| reaches(condition, bucket.as_str()))
    }
}

/// What is always true comes first: beside it nothing needs to be asked, and PostgreSQL does not.
fn certain_first<'p>(
    said: impl Iterator<Item = (&'p Policy, &'p Expr)>,
) -> impl Iterator<Item = (&'p Policy, &'p Expr)> {
    let mut said: Vec<_> = said.collect();
    said.sort_by_key(|(_, condition)| !matches!(condition, Expr::Literal(Value::Bool(true), _)));
    said.into_iter()
}

/// Whether a condition can hold in a bucket, as far as it names buckets. Only what is plain to see says no.
fn reaches(condition: &Expr, bucket: &str) -> bool {
    let named = |expr: &Expr| matches!(expr, Expr::Column(column) if column.column.name == "bucket_id");
    let is_it = |expr: &Expr| match expr {
        Expr::Literal(Value::Text(text), _) => text == bucket,
        Expr::Literal(..) => false,
        _ => true,
    };
    match condition {
        Expr::And(all) => all.iter().all(|condition| reaches(condition, bucket)),
        Expr::Or(all) => all.iter().any(|condition| reaches(condition, bucket)),
        Expr::Compare(Comparison::Eq, left, right) if named(left) => is_it(right),
        Expr::Compare(Comparison::Eq, left, right) if named(right) => is_it(left),
        Expr::In { negated: false, value, list } if named(value) => list.iter().any(is_it),
        Expr::Literal(value, _) => *value == Value::Bool(true),
        _ => true,
    }
}
