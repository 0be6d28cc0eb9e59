//! SQL policies: kept as they were given, read again when the database is opened, and put into force by the commit
//! that changed them.

use std::sync::Arc;

use rusqlite::{Connection, named_params};

use super::errors::Fault;
use super::rows::{micros, now, str};
use super::rules::Rules;
use crate::errors::StorageError;
use crate::permissions::{Access, Permission, Policy, PolicySet};

/// The rules that the database's policies make. A policy that is not understood must not be passed over.
pub(super) fn load(conn: &Connection) -> Result<Arc<Rules>, Fault> {
    let mut statement = conn.prepare("SELECT name, definition FROM storage_policies ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut policies = Vec::new();
    while let Some(row) = rows.next()? {
        let policy = Policy::parse(str(row, 1)?).map_err(|fault| {
            let name = str(row, 0).unwrap_or_default();
            StorageError::internal(format!("the policy {name} in the database is not understood: {fault}"))
        })?;
        policies.push(policy);
    }
    Ok(Rules::new(policies.into_iter().collect()))
}

/// Adds a policy; gives the rules as they then are.
pub(super) fn create(conn: &Connection, access: &Access, policy: &Policy) -> Result<Arc<Rules>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let made = conn
        .prepare_cached(
            "INSERT INTO storage_policies (name, command, permissive, roles, definition, created_at) \
             VALUES (:name, :command, :permissive, :roles, :definition, :now) ON CONFLICT (name) DO NOTHING",
        )?
        .execute(named_params! {
            ":name": &*policy.name, ":command": policy.command.as_str(), ":permissive": policy.permissive,
            ":roles": serde_json::Value::from(policy.roles()).to_string(), ":definition": &*policy.definition,
            ":now": micros(now()),
        })?;
    if made == 0 {
        return Err(StorageError::PolicyExists { name: Arc::clone(&policy.name) }.into());
    }
    load(conn)
}

/// Drops a policy, if there is one; gives the rules as they then are.
pub(super) fn drop_one(conn: &Connection, access: &Access, name: &str) -> Result<(bool, Arc<Rules>), Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let gone = conn
        .prepare_cached("DELETE FROM storage_policies WHERE name = :name")?
        .execute(named_params! { ":name": name })?;
    Ok((gone > 0, load(conn)?))
}

/// The policies in force.
pub(super) fn all(rules: &Rules, access: &Access) -> Result<PolicySet, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    Ok(rules.policies().clone())
}
