//! SQL policies: rules that the service role adds to SPEC 3.2's table, in PostgreSQL's own form (SPEC 3.3).
//!
//! A statement is parsed into a [`Policy`] whose conditions are typed trees ([`crate::sql`]); a [`PolicySet`] says which
//! of them speak for whom, and [`judge`] what they say of a row that is about to be written. Rows that are there are
//! the engine's to filter, in the statements themselves. PostgreSQL's rules are the rules: what grants, what restricts,
//! which condition is asked of the old row and which of the new one.

mod candidate;
mod judge;
#[cfg(test)]
pub(crate) mod oracle;
mod parse;
mod script;
mod set;
#[cfg(test)]
pub(crate) mod tests;
mod told;

use std::fmt;
use std::sync::Arc;

use crate::permissions::{Permission, Role};
use crate::sql::{Expr, Names, Postgres};

pub use candidate::Candidate;
pub use judge::{Finding, Writing, asks_more, holds, judge, would_show};
pub use set::PolicySet;

/// A policy on `storage_objects`.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Its name, unique on the table.
    pub name: Arc<str>,
    /// Which commands it speaks about.
    pub command: Command,
    /// Whether it grants (`PERMISSIVE`), or takes away from what is granted (`RESTRICTIVE`).
    pub permissive: bool,
    /// Whether it speaks about callers without a token.
    pub anon: bool,
    /// Whether it speaks about users.
    pub authenticated: bool,
    /// What rows that are there must fulfil.
    pub using: Option<Expr>,
    /// What rows that are written must fulfil.
    pub check: Option<Expr>,
    /// The statement as it was given.
    pub definition: Arc<str>,
}

/// What a policy speaks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// All of them.
    All,
    /// Reading, and finding what is to be changed.
    Select,
    /// Making rows.
    Insert,
    /// Changing rows.
    Update,
    /// Deleting rows.
    Delete,
}

impl Command {
    /// SQL's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "ALL",
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }

    fn covers(self, permission: Permission) -> bool {
        match permission {
            Permission::ObjectRead => matches!(self, Self::All | Self::Select),
            Permission::ObjectCreate => matches!(self, Self::All | Self::Insert),
            Permission::ObjectOverwrite => matches!(self, Self::All | Self::Update),
            Permission::ObjectDelete => matches!(self, Self::All | Self::Delete),
            Permission::BucketCreate
            | Permission::BucketRead
            | Permission::BucketUpdate
            | Permission::BucketDelete
            | Permission::UploadContinue
            | Permission::UsageRead
            | Permission::QueueRead
            | Permission::JobRead
            | Permission::Explain
            | Permission::Maintain => false,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Policy {
    /// Whether it speaks about callers of this role. The service role is never restricted.
    pub fn is_for(&self, role: Role) -> bool {
        match role {
            Role::Anon => self.anon,
            Role::Authenticated => self.authenticated,
            Role::ServiceRole => false,
        }
    }

    /// What a row that is there must fulfil for the permission; `None` where the policy says nothing of it.
    pub fn of_old_row(&self, permission: Permission) -> Option<&Expr> {
        match permission {
            Permission::ObjectCreate => None,
            permission if self.command.covers(permission) => self.using.as_ref(),
            _ => None,
        }
    }

    /// What a row that is about to be written must fulfil for the permission; for reading it, what makes it visible.
    pub fn of_new_row(&self, permission: Permission) -> Option<&Expr> {
        match permission {
            permission if !self.command.covers(permission) => None,
            Permission::ObjectCreate | Permission::ObjectOverwrite => {
                self.check.as_ref().or(self.using.as_ref())
            }
            _ => self.using.as_ref(),
        }
    }

    /// The roles that it names, as SQL has them.
    pub fn roles(&self) -> Vec<&'static str> {
        let named = [(self.anon, Role::Anon), (self.authenticated, Role::Authenticated)];
        named.into_iter().filter(|(is, _)| *is).map(|(_, role)| role.as_str()).collect()
    }

    /// The statement for PostgreSQL, with tables and functions in a schema of ours. Rendered from the typed tree.
    pub fn for_postgres(&self, schema: &str) -> String {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let render = |expr: &Expr| Postgres { names: Names::Schema(schema), column: None }.render(expr);
        let using = self.using.as_ref().map(|expr| format!(" USING ({})", render(expr))).unwrap_or_default();
        let check =
            self.check.as_ref().map(|expr| format!(" WITH CHECK ({})", render(expr))).unwrap_or_default();
        format!(
            "CREATE POLICY {} ON {}.storage_objects AS {} FOR {} TO {}{using}{check}",
            quoted(&self.name),
            quoted(schema),
            if self.permissive { "PERMISSIVE" } else { "RESTRICTIVE" },
            self.command,
            self.roles().join(", "),
        )
    }
}

/// What can be done with policies, in SQL.
#[derive(Debug, Clone, PartialEq)]
pub enum PolicyStatement {
    /// `CREATE POLICY`.
    Create(Box<Policy>),
    /// `DROP POLICY`.
    Drop {
        /// Which one.
        name: Arc<str>,
        /// Whether it is no fault that there is none.
        if_exists: bool,
    },
}
