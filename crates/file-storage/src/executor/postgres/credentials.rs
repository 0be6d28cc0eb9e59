//! S3 credentials, for the server's upkeep alone: the table is the keeper's.

use std::sync::Arc;

use tokio_postgres::Row;

use super::errors::Fault;
use super::pool::Pool;
use super::rls::Caller;
use super::session::{Values, alone, read};
use crate::Timestamp;
use crate::credentials::Credential;
use crate::errors::StorageError;
use crate::permissions::{Access, Permission, Role};

/// The columns, as [`credential`] reads them.
macro_rules! columns {
    () => {
        "access_key_id, name, role, user_id, enabled, created_at, last_used_at, sealed_secret"
    };
}

const CREATE: &str = concat!(
    "INSERT INTO {schema}.s3_credentials (access_key_id, name, role, user_id, enabled, sealed_secret, created_at) \
     VALUES ($1, $2, $3, $4, true, $5, $6) RETURNING ",
    columns!()
);

const ALL: &str =
    concat!("SELECT ", columns!(), " FROM {schema}.s3_credentials ORDER BY created_at, access_key_id");

const FIND: &str = concat!("SELECT ", columns!(), " FROM {schema}.s3_credentials WHERE access_key_id = $1");

const ENABLE: &str = concat!(
    "UPDATE {schema}.s3_credentials SET enabled = $2 WHERE access_key_id = $1 RETURNING ",
    columns!()
);

const DELETE: &str = "DELETE FROM {schema}.s3_credentials WHERE access_key_id = $1";

const USED: &str = "UPDATE {schema}.s3_credentials SET last_used_at = $2 \
     WHERE access_key_id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";

/// Adds a credential.
pub(super) async fn create(
    pool: &Arc<Pool>,
    access: &Access,
    new: &Credential,
    sealed: &str,
) -> Result<Credential, Fault> {
    let values = [
        &new.access_key_id as _,
        &new.name as _,
        &new.role.as_str() as _,
        &new.user_id as _,
        &sealed as _,
        &new.created_at as _,
    ];
    match change(pool, access, CREATE, &values).await?.0 {
        Some(made) => Ok(made),
        None => Err(StorageError::internal("a credential was made and not answered").into()),
    }
}

/// All of them, oldest first.
pub(super) async fn all(pool: &Arc<Pool>, access: &Access) -> Result<Vec<Credential>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let rows = read(pool, "credentials", &Caller::keeper(), ALL, &[]).await?;
    rows.iter().map(credential).collect()
}

/// One of them, with its sealed secret.
pub(super) async fn find(
    pool: &Arc<Pool>,
    access: &Access,
    id: &str,
) -> Result<Option<(Credential, String)>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let rows = read(pool, "credential", &Caller::keeper(), FIND, &[&id]).await?;
    rows.first().map(|row| Ok((credential(row)?, row.try_get(7)?))).transpose()
}

/// Has it accepted, or not.
pub(super) async fn enable(
    pool: &Arc<Pool>,
    access: &Access,
    id: &str,
    enabled: bool,
) -> Result<Option<Credential>, Fault> {
    // No id has that character, and PostgreSQL's text can't.
    if id.contains('\0') {
        return Ok(None);
    }
    Ok(change(pool, access, ENABLE, &[&id, &enabled]).await?.0)
}

/// Deletes it; `false` where there is none.
pub(super) async fn delete(pool: &Arc<Pool>, access: &Access, id: &str) -> Result<bool, Fault> {
    if id.contains('\0') {
        return Ok(false);
    }
    Ok(change(pool, access, DELETE, &[&id]).await?.1 > 0)
}

/// Notes its use, unless a later one is noted.
pub(super) async fn used(pool: &Arc<Pool>, access: &Access, id: &str, at: Timestamp) -> Result<(), Fault> {
    change(pool, access, USED, &[&id, &at]).await.map(drop)
}

async fn change(
    pool: &Arc<Pool>,
    access: &Access,
    sql: &'static str,
    values: Values<'_>,
) -> Result<(Option<Credential>, u64), Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let done = alone(pool, "credential", &Caller::keeper(), sql, values).await?;
    Ok((done.rows.first().map(credential).transpose()?, done.affected))
}

fn credential(row: &Row) -> Result<Credential, Fault> {
    Ok(Credential {
        access_key_id: row.try_get(0)?,
        name: row.try_get(1)?,
        role: Role::from_claim(row.try_get(2)?).ok_or_else(|| Fault::corrupt("role"))?,
        user_id: row.try_get(3)?,
        enabled: row.try_get(4)?,
        created_at: row.try_get(5)?,
        last_used_at: row.try_get(6)?,
    })
}
