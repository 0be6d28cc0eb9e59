//! The roles that statements run as: made where they are missing, used as they are where a database has them already,
//! as Supabase's has. They belong to the whole cluster, so that several databases may be at it at the same time.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::errors::Fault;
use super::rls::KEEPER;
use crate::errors::StorageError;

const ROLES: [&str; 4] = ["anon", "authenticated", "service_role", KEEPER];

/// How often a role may be changed by others while we change it.
const ATTEMPTS: u32 = 10;

/// Roles that row-level security must hold for.
const BYPASSING: &str = "SELECT rolname::text FROM pg_roles \
     WHERE rolname = ANY ($1::text[]) AND (rolsuper OR rolbypassrls)";

/// Sees to it that the roles are there, that we may become each of them, and that none of them sees too much.
pub(super) async fn ensure(client: &Client, server_version: i32) -> Result<(), Fault> {
    for role in ROLES {
        let found = client.query("SELECT 1 FROM pg_roles WHERE rolname = $1::text", &[&role]).await?;
        if found.is_empty() {
            change(client, &format!("CREATE ROLE {role} NOLOGIN")).await?;
        }
        // Since version 16, to be a member is not yet to be allowed to become one.
        let right = if server_version >= 160_000 { "SET" } else { "MEMBER" };
        let may: bool =
            client.query_one("SELECT pg_has_role($1::text, $2::text)", &[&role, &right]).await?.try_get(0)?;
        if !may {
            change(client, &format!("GRANT {role} TO CURRENT_USER")).await?;
        }
    }
    match bypassing(client).await? {
        None => Ok(()),
        Some(context) => Err(StorageError::internal(context).into()),
    }
}

/// What is to be done about a role for which nothing would hold.
async fn bypassing(client: &Client) -> Result<Option<String>, Fault> {
    let held: Vec<&str> = ROLES.into_iter().filter(|role| *role != "service_role").collect();
    let found = client.query(BYPASSING, &[&held]).await?;
    let Some(row) = found.first() else { return Ok(None) };
    let role: &str = row.try_get(0)?;
    Ok(Some(format!(
        "the role '{role}' bypasses row-level security, so that nothing would hold; \
         an administrator must run: ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS"
    )))
}

/// What [`ensure`] would fail on, without changing anything.
pub(super) async fn in_the_way(client: &Client, server_version: i32) -> Result<Option<String>, Fault> {
    let right = if server_version >= 160_000 { "SET" } else { "MEMBER" };
    let row = client
        .query_one(
            "SELECT (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user), \
             (SELECT count(*) FROM pg_roles WHERE rolname = ANY ($1::text[])) = cardinality($1::text[]), \
             (SELECT coalesce(bool_and(pg_has_role(oid, $2::text)), true) FROM pg_roles WHERE rolname = ANY ($1::text[]))",
            &[&ROLES.as_slice(), &right],
        )
        .await?;
    let (may_make, are_there, are_ours): (bool, bool, bool) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if (!are_there || !are_ours) && !may_make {
        return Ok(Some(asked_of_administrator(client).await?));
    }
    bypassing(client).await
}

/// Runs a statement about a role, whose words are ours alone.
async fn change(client: &Client, statement: &str) -> Result<(), Fault> {
    for attempt in 1.. {
        let Err(error) = client.batch_execute(statement).await else { return Ok(()) };
        match error.code() {
            // Another process was faster.
            Some(&SqlState::DUPLICATE_OBJECT) => return Ok(()),
            Some(&SqlState::INSUFFICIENT_PRIVILEGE) => return Err(ask_administrator(client).await?),
            // "tuple concurrently updated" and the like.
            Some(&SqlState::UNIQUE_VIOLATION | &SqlState::INTERNAL_ERROR) if attempt < ATTEMPTS => {
                tokio::time::sleep(Duration::from_millis(20 * u64::from(attempt))).await;
            }
            _ => return Err(error.into()),
        }
    }
    Ok(())
}

/// What only an administrator can do.
async fn ask_administrator(client: &Client) -> Result<Fault, Fault> {
    Ok(StorageError::internal(asked_of_administrator(client).await?).into())
}

async fn asked_of_administrator(client: &Client) -> Result<String, Fault> {
    let user: String = client.query_one("SELECT quote_ident(current_user)", &[]).await?.try_get(0)?;
    let roles = ROLES.join(", ");
    let statements: String = ROLES.map(|role| format!("CREATE ROLE {role} NOLOGIN; ")).concat();
    Ok(format!(
        "the database's roles are missing, and {user} may not make them; an administrator must run once, leaving \
         out what is there already: {statements}GRANT {roles} TO {user};"
    ))
}
