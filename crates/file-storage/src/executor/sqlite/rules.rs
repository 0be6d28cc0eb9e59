//! The rules in force: SPEC 3.2's table and the SQL policies, as predicates, and the statements that carry them.
//!
//! Immutable, and replaced as a whole after the commit that changed a policy. For a role that no policy speaks about
//! the texts are those of the table alone: policies of others cost it nothing. Each text is made once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use super::functions::IN_EXPRESSION;
use super::rls::{builtin, builtin_of_version, is_true};
use crate::permissions::{Permission, Policy, PolicySet, RlsContext, Role};
use crate::sql::{ColumnRef, Expr, Names, Postgres, Sqlite};

/// The statements that depend on rules about objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(in super::super) enum Statement {
    Open,
    Show,
    ToWrite,
    ToRemove,
    Some,
    AllUp,
    AllDown,
    OwnUp,
    OwnDown,
    OpenVersion,
    OpenNull,
    ToRemoveVersion,
    ToRemoveNull,
    ToTagVersion,
    ToTagNull,
    ScanVersions,
    SomeVersions,
    NullToGo,
    Told,
    Marker,
}

const STATEMENTS: usize = Statement::Marker as usize + 1;

/// The rules in force.
#[derive(Debug)]
pub(in super::super) struct Rules {
    /// No other rules of this process have it.
    number: u64,
    policies: PolicySet,
    anon: RoleRules,
    authenticated: RoleRules,
}

impl Rules {
    /// The table and these policies.
    pub(super) fn new(policies: PolicySet) -> Arc<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let of = |role| RoleRules::new(&policies, role);
        let (anon, authenticated) = (of(Role::Anon), of(Role::Authenticated));
        Arc::new(Self { number: NUMBER.fetch_add(1, Ordering::Relaxed), anon, authenticated, policies })
    }

    /// What tells these rules from those before and after them.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The table alone.
    pub(super) fn of_table() -> Arc<Self> {
        Self::new(PolicySet::default())
    }

    /// The policies.
    pub(super) fn policies(&self) -> &PolicySet {
        &self.policies
    }

    /// The names of those policies that may be the one which failed, by what the function says that computes conditions:
    /// those that speak about the caller and have the expression in them.
    pub(super) fn suspects(&self, context: &RlsContext, why: &str) -> Vec<&str> {
        let expression = why.split_once(IN_EXPRESSION).map_or(why, |(_, expression)| expression);
        let shown = |expr: &Expr| Postgres { names: Names::Public, column: None }.render(expr);
        let has_it = |policy: &&Policy| {
            policy.using.iter().chain(&policy.check).any(|condition| shown(condition).contains(expression))
        };
        self.policies.of(context.role()).filter(has_it).map(|policy| &*policy.name).collect()
    }

    /// The rules for callers of a role.
    pub(super) fn of(&self, context: &RlsContext) -> &RoleRules {
        static TABLE: LazyLock<RoleRules> = LazyLock::new(RoleRules::table);
        match context.role() {
            Role::Anon => &self.anon,
            Role::Authenticated => &self.authenticated,
            Role::ServiceRole => &TABLE,
        }
    }
}

/// The rules for one role.
#[derive(Debug)]
pub(in super::super) struct RoleRules {
    read: String,
    read_version: String,
    overwrite: String,
    delete: String,
    has_policies: bool,
    widens_reads: bool,
    statements: [OnceLock<String>; STATEMENTS],
}

impl RoleRules {
    fn table() -> Self {
        Self::new(&PolicySet::default(), Role::ServiceRole)
    }

    fn new(policies: &PolicySet, role: Role) -> Self {
        let predicate = |permission| predicate(policies, role, permission, builtin(permission));
        let read = Permission::ObjectRead;
        Self {
            read_version: self::predicate(policies, role, read, builtin_of_version()),
            read: predicate(read),
            overwrite: predicate(Permission::ObjectOverwrite),
            delete: predicate(Permission::ObjectDelete),
            has_policies: policies.of(role).next().is_some(),
            widens_reads: policies.old_rows(role, Permission::ObjectRead, true).next().is_some(),
            statements: Default::default(),
        }
    }

    /// Whether policies speak about the role: then its statements take the parameter `:caller`.
    pub(super) fn has_policies(&self) -> bool {
        self.has_policies
    }

    /// Whether policies may show rows that the table does not.
    pub(in super::super) fn widens_reads(&self) -> bool {
        self.widens_reads
    }

    /// The predicate under which a permission holds for the object `o` in the bucket `b`.
    pub(in super::super) fn predicate(&self, permission: Permission) -> &str {
        match permission {
            Permission::ObjectRead => &self.read,
            Permission::ObjectOverwrite => &self.overwrite,
            Permission::ObjectDelete => &self.delete,
            other => builtin(other),
        }
    }

    /// The predicate under which the version `o`, which is not current, may be seen.
    pub(in super::super) fn reads_version(&self) -> &str {
        &self.read_version
    }

    /// The text of a statement, made when it is first asked for.
    pub(in super::super) fn sql(&self, which: Statement, build: impl FnOnce(&Self) -> String) -> &str {
        match self.statements.get(which as usize) {
            Some(made) => made.get_or_init(|| build(self)),
            None => "",
        }
    }
}

/// The table's predicate, widened by what grants and narrowed by what restricts. CASE keeps the order, as PostgreSQL
/// keeps it: what restricts is asked first, by name, and nothing is asked that does not matter.
fn predicate(policies: &PolicySet, role: Role, permission: Permission, table: &str) -> String {
    if policies.of(role).next().is_none() {
        return table.to_owned();
    }
    let sql = |expr: &Expr| Sqlite { column: &of_object }.render(expr);
    let refuses = policies
        .old_rows(role, permission, false)
        .map(|(_, condition)| format!("WHEN ({}) IS NOT TRUE THEN 0 ", sql(condition)));
    let grants = policies
        .old_rows(role, permission, true)
        .map(|(_, condition)| format!("WHEN {} THEN 1 ", is_true(&sql(condition))));
    format!(
        "(CASE WHEN o.path IS NULL OR :caller IS NULL THEN 0 {}WHEN {table} THEN 1 {}ELSE 0 END)",
        refuses.collect::<String>(),
        grants.collect::<String>()
    )
}

fn of_object(column: ColumnRef) -> String {
    format!("o.{}", column.column.name)
}
