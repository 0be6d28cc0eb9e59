//! The SQL policies in force, as this process knows them: for what is said of a write before it is tried, and of a
//! refusal. What is let through, the native policies decide.
//!
//! Other processes change policies, too. So every statement that these rules are asked about also tells the version that
//! is in force, and another one than is known is read first: the usual way costs no round trip.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_postgres::Row;
use uuid::Uuid;

use super::errors::Fault;
use super::pool::Pool;
use super::rls::Caller;
use super::session::{Session, Step, read};
use crate::errors::StorageError;
use crate::permissions::{Permission, Policy, PolicySet, RlsContext};

/// The version in force, as a column.
pub(super) const VERSION: &str = "(SELECT f.version FROM {inner}.policies_in_force f)";

/// The version, with each policy; or once, with NULL, where there is none.
const READ: &str = "SELECT f.version, p.name, p.definition FROM {inner}.policies_in_force f \
     LEFT JOIN {schema}.storage_policies p ON true";

/// The policies of one version.
#[derive(Debug, Default)]
pub(super) struct Rules {
    version: Uuid,
    policies: PolicySet,
}

impl Rules {
    pub(super) fn policies(&self) -> &PolicySet {
        &self.policies
    }

    /// Whether policies speak about the caller's role.
    pub(super) fn speak_of(&self, context: &RlsContext) -> bool {
        self.policies.of(context.role()).next().is_some()
    }

    /// The names of those that may have failed, for the log.
    pub(super) fn suspects(&self, context: &RlsContext, permission: Permission) -> Vec<&str> {
        let (role, asked) = (context.role(), [Permission::ObjectRead, permission]);
        let speaks = |policy: &&Policy| {
            asked
                .iter()
                .any(|asked| policy.of_old_row(*asked).is_some() || policy.of_new_row(*asked).is_some())
        };
        self.policies.of(role).filter(speaks).map(|policy| &*policy.name).collect()
    }

    fn of(rows: &[Row]) -> Result<Arc<Self>, Fault> {
        let first = rows.first().ok_or_else(|| Fault::corrupt("version of policies"))?;
        let version = first.try_get(0)?;
        let mut policies = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(name) = row.try_get::<_, Option<&str>>(1)? else { continue };
            // A policy that is not understood must not be passed over.
            let policy = Policy::parse(row.try_get(2)?).map_err(|fault| {
                StorageError::internal(format!(
                    "the policy {name} in the database is not understood: {fault}"
                ))
            })?;
            policies.push(policy);
        }
        Ok(Arc::new(Self { version, policies: policies.into_iter().collect() }))
    }
}

/// The rules that were read last.
#[derive(Debug, Default)]
pub(super) struct KnownRules(ArcSwap<Rules>);

impl KnownRules {
    /// The rules of this version, where they are the ones that are known.
    fn at(&self, version: Uuid) -> Option<Arc<Rules>> {
        Some(self.0.load_full()).filter(|rules| rules.version == version)
    }

    /// The rules of a version, in the middle of a transaction. The session then is the keeper's.
    pub(super) async fn within(&self, session: &mut Session, version: Uuid) -> Result<Arc<Rules>, Fault> {
        if let Some(rules) = self.at(version) {
            return Ok(rules);
        }
        let steps = [Step::As(&Caller::keeper()), Step::Run(READ, &[])];
        // What is rare is kept out of the futures of what is not.
        let answers = Box::pin(session.run(&steps)).await?;
        self.keep(answers.first().map_or(&[], |answer| &answer.rows))
    }

    fn keep(&self, rows: &[Row]) -> Result<Arc<Rules>, Fault> {
        let rules = Rules::of(rows)?;
        self.0.store(Arc::clone(&rules));
        Ok(rules)
    }
}

/// The rules of a version, or of a later one.
pub(super) async fn at(pool: &Arc<Pool>, version: Uuid) -> Result<Arc<Rules>, Fault> {
    match pool.rules().at(version) {
        Some(rules) => Ok(rules),
        None => Box::pin(in_force(pool)).await,
    }
}

/// The rules in force now, read only where they are others than the known ones.
pub(super) async fn current(pool: &Arc<Pool>) -> Result<Arc<Rules>, Fault> {
    const ASK: &str = "SELECT f.version FROM {inner}.policies_in_force f";
    let rows = read(pool, "policies", &Caller::keeper(), ASK, &[]).await?;
    let row = rows.first().ok_or_else(|| Fault::corrupt("version of policies"))?;
    at(pool, row.try_get(0)?).await
}

/// The rules in force now, read anew.
pub(super) async fn in_force(pool: &Arc<Pool>) -> Result<Arc<Rules>, Fault> {
    let rows = read(pool, "policies", &Caller::keeper(), READ, &[]).await?;
    pool.rules().keep(&rows)
}
