//! SQL policies: kept as they were given, and put into force as native policies, in one transaction. Whoever makes or
//! drops one is the tables' owner; no user is.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;

use super::errors::Fault;
use super::pool::Pool;
use super::rls::Caller;
use super::rules;
use super::session::{Session, Step};
use crate::errors::StorageError;
use crate::permissions::{Access, AnonGrants, Permission, Policy, PolicySet};
use crate::sql::{Expr, Names, Postgres};

/// A native policy waits until nobody is at the table, and everybody else waits behind it: not for long, and then again.
const WAIT: &str = "SET LOCAL lock_timeout = '500ms'";

/// How often it is tried, and the pause between.
const ATTEMPTS: u32 = 20;
/// A start waits less: it goes on without.
const ATTEMPTS_AT_START: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// Waits until nobody else changes policies.
const LOCK: &str = "SELECT pg_advisory_xact_lock($1)";

const KEEP: &str = "INSERT INTO {schema}.storage_policies \
     (name, command, permissive, roles, using_expression, check_expression, definition) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";

const FORGET: &str = "DELETE FROM {schema}.storage_policies WHERE name = $1";

/// Puts the policies of objects on the table of versions, as far as they are not there.
pub(super) const MIRROR: &str = "SELECT {inner}.mirror_policies()";

/// Whether they all are.
const OBEY: &str = "SELECT {schema}.versions_obey()";

/// Whether a native policy of objects, `p` of `pg_policy`, was made by hand: it is none of the table's own (`migrations/0002`, `0006`), and
/// was not made with its entry, by one transaction. Only names that are told in full are the table's: whatever else begins like them
/// may look wherever it likes.
pub(super) const IS_BY_HAND: &str = "(p.polname::text <> ALL (ARRAY['~aerostore_keeper', '~aerostore_service', \
     '~aerostore_object_read_anon', '~aerostore_object_read', '~aerostore_object_create', \
     '~aerostore_object_overwrite', '~aerostore_object_delete', '~aerostore_object_of_ones_own', \
     '~aerostore_object_to_somebody']) \
     AND NOT EXISTS (SELECT 1 FROM {schema}.storage_policies s \
         WHERE s.name = p.polname::text AND s.xmin = p.xmin))";

/// Tells every process that other policies are in force.
pub(super) const CHANGED: &str = "UPDATE {inner}.policies_in_force SET version = gen_random_uuid()";

/// Tries again what did not get to the table in time.
macro_rules! patiently {
    ($attempts:expr, $attempt:expr) => {{
        let mut left: u32 = $attempts;
        loop {
            match $attempt.await {
                Err(fault) if left > 1 && (fault.is_kept_waiting() || fault.lost_a_race()) => {
                    left -= 1;
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => break outcome,
            }
        }
    }};
}

/// Adds a policy.
pub(super) async fn create(pool: &Arc<Pool>, access: &Access, policy: &Policy) -> Result<(), Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let created = patiently!(ATTEMPTS, try_to_create(pool, policy));
    created.map_err(|fault| match fault.is_duplicate() {
        true => StorageError::PolicyExists { name: Arc::clone(&policy.name) }.into(),
        false => fault.of_definition(),
    })
}

async fn try_to_create(pool: &Arc<Pool>, policy: &Policy) -> Result<(), Fault> {
    let schema = pool.schema().as_str();
    let native = policy.for_postgres(schema);
    let (using, check) = shown(policy);
    let values = [
        &&*policy.name as _,
        &policy.command.as_str() as _,
        &policy.permissive as _,
        &policy.roles() as _,
        &using as _,
        &check as _,
        &&*policy.definition as _,
    ];
    let (place, keeper) = (place(pool), Caller::keeper());
    let steps = [
        Step::Once(WAIT),
        Step::Run(LOCK, &[&place]),
        Step::Once(&native),
        Step::Run(MIRROR, &[]),
        Step::As(&keeper),
        Step::Run(KEEP, &values),
        Step::Run(CHANGED, &[]),
        Step::Commit,
    ];
    Session::start(pool, "create_policy").await?.run(&steps).await.map(drop)
}

/// Drops a policy, if there is one.
pub(super) async fn drop_one(pool: &Arc<Pool>, access: &Access, name: &str) -> Result<bool, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    // No policy has that character, and PostgreSQL's text can't.
    if name.contains('\0') {
        return Ok(false);
    }
    patiently!(ATTEMPTS, try_to_drop(pool, name)).map_err(Fault::of_definition)
}

async fn try_to_drop(pool: &Arc<Pool>, name: &str) -> Result<bool, Fault> {
    let mut session = Session::start(pool, "drop_policy").await?;
    let (place, keeper) = (place(pool), Caller::keeper());
    let forget = [
        Step::Once(WAIT),
        Step::Run(LOCK, &[&place]),
        Step::As(&keeper),
        Step::Run(FORGET, &[&name]),
        Step::Run(CHANGED, &[]),
    ];
    let forgotten = session.run(&forget).await?;
    if forgotten.get(1).is_none_or(|answer| answer.affected == 0) {
        return Ok(false);
    }
    let schema = pool.schema().as_str();
    let name = name.replace('"', "\"\"");
    let native = format!("DROP POLICY IF EXISTS \"{name}\" ON \"{schema}\".storage_objects");
    let steps = [Step::Once("RESET ROLE"), Step::Once(&native), Step::Run(MIRROR, &[]), Step::Commit];
    session.run(&steps).await?;
    Ok(true)
}

/// Has old versions obey what was made by hand since the last time. Where that can't be, users see no old version, and all
/// else goes on.
pub(super) async fn mirror(pool: &Arc<Pool>) -> Result<(), Fault> {
    if obey(pool).await? {
        return Ok(());
    }
    let mirrored = patiently!(ATTEMPTS_AT_START, try_to_mirror(pool));
    let reason = match mirrored {
        Ok(()) if obey(pool).await? => return Ok(()),
        Ok(()) => "a policy was made by hand whose name is kept for the server's own".to_owned(),
        Err(fault) if fault.is_denial() => "the login is not the owner of the tables".to_owned(),
        Err(fault) if fault.is_kept_waiting() => "somebody keeps the table of versions locked".to_owned(),
        Err(fault) => match fault.of_definition() {
            Fault::Refused(error @ StorageError::InvalidSql(_)) => error.to_string(),
            fault => return Err(fault),
        },
    };
    tracing::warn!(
        reason,
        "policies on objects were changed by hand; old versions stay closed to users until the next change of \
         policies, or the next start, that can have them obey"
    );
    Ok(())
}

/// Whether old versions obey all policies: else users see none.
async fn obey(pool: &Arc<Pool>) -> Result<bool, Fault> {
    let steps = [Step::Run(OBEY, &[]), Step::Commit];
    let answers = Session::start(pool, "mirror_policies").await?.run(&steps).await?;
    let obeys =
        answers.first().and_then(|answer| answer.rows.first()).map(|row| row.try_get(0)).transpose()?;
    Ok(obeys == Some(true))
}

async fn try_to_mirror(pool: &Arc<Pool>) -> Result<(), Fault> {
    let place = place(pool);
    let steps = [Step::Once(WAIT), Step::Run(LOCK, &[&place]), Step::Run(MIRROR, &[]), Step::Commit];
    Session::start(pool, "mirror_policies").await?.run(&steps).await.map(drop)
}

/// The policies in force.
pub(super) async fn all(pool: &Arc<Pool>, access: &Access) -> Result<PolicySet, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    Ok(rules::in_force(pool).await?.policies().clone())
}

/// What they may let callers without a token do.
pub(super) async fn anon_grants(pool: &Arc<Pool>) -> Result<AnonGrants, Fault> {
    Ok(AnonGrants::of(rules::current(pool).await?.policies()))
}

/// The conditions of a policy, as people see them: of rows that are there, and of rows that are written.
pub(super) fn shown(policy: &Policy) -> (Option<String>, Option<String>) {
    let show = |expr: &Expr| Postgres { names: Names::Public, column: None }.render(expr);
    (policy.using.as_ref().map(show), policy.check.as_ref().map(show))
}

/// What stands for all policies of the schema, among locks.
fn place(pool: &Pool) -> i64 {
    let name = format!("aerostore policies {}", pool.schema());
    let digest = digest::digest(&digest::SHA256, name.as_bytes());
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    i64::from_be_bytes(first)
}
