//! S3 credentials, for the server's upkeep alone.

use rusqlite::{Connection, Row, named_params};

use super::errors::Fault;
use super::rls::text;
use super::rows::{micros, opt_uuid, str, time};
use crate::Timestamp;
use crate::credentials::Credential;
use crate::errors::StorageError;
use crate::permissions::{Access, Permission, Role};

const COLUMNS: &str = "access_key_id, name, role, user_id, enabled, created_at, last_used_at, sealed_secret";

/// Adds a credential.
pub(super) fn create(
    conn: &Connection,
    access: &Access,
    credential: &Credential,
    sealed: &str,
) -> Result<Credential, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    conn.prepare_cached(
        "INSERT INTO s3_credentials (access_key_id, name, role, user_id, enabled, sealed_secret, created_at) \
         VALUES (:id, :name, :role, :user, 1, :sealed, :now)",
    )?
    .execute(named_params! {
        ":id": credential.access_key_id, ":name": credential.name, ":role": credential.role.as_str(),
        ":user": credential.user_id.map(text), ":sealed": sealed, ":now": micros(credential.created_at),
    })?;
    match find(conn, access, &credential.access_key_id)? {
        Some((made, _)) => Ok(made),
        None => Err(StorageError::internal("a credential is gone that was just made").into()),
    }
}

/// All of them, oldest first.
pub(super) fn all(conn: &Connection, access: &Access) -> Result<Vec<Credential>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let sql = format!("SELECT {COLUMNS} FROM s3_credentials ORDER BY created_at, access_key_id");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(credential(row)?);
    }
    Ok(all)
}

/// One of them, with its sealed secret.
pub(super) fn find(
    conn: &Connection,
    access: &Access,
    id: &str,
) -> Result<Option<(Credential, String)>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let sql = format!("SELECT {COLUMNS} FROM s3_credentials WHERE access_key_id = :id");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(named_params! { ":id": id })?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some((credential(row)?, str(row, 7)?.to_owned())))
}

/// Has it accepted, or not.
pub(super) fn enable(
    conn: &Connection,
    access: &Access,
    id: &str,
    enabled: bool,
) -> Result<Option<Credential>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    conn.prepare_cached("UPDATE s3_credentials SET enabled = :enabled WHERE access_key_id = :id")?
        .execute(named_params! { ":id": id, ":enabled": enabled })?;
    Ok(find(conn, access, id)?.map(|(credential, _)| credential))
}

/// Deletes it; `false` where there is none.
pub(super) fn delete(conn: &Connection, access: &Access, id: &str) -> Result<bool, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let gone = conn
        .prepare_cached("DELETE FROM s3_credentials WHERE access_key_id = :id")?
        .execute(named_params! { ":id": id })?;
    Ok(gone > 0)
}

/// Notes its use, unless a later one is noted.
pub(super) fn used(conn: &Connection, access: &Access, id: &str, at: Timestamp) -> Result<(), Fault> {
    access.on_rows(Permission::Maintain, None)?;
    conn.prepare_cached(
        "UPDATE s3_credentials SET last_used_at = :at \
         WHERE access_key_id = :id AND (last_used_at IS NULL OR last_used_at < :at)",
    )?
    .execute(named_params! { ":id": id, ":at": micros(at) })?;
    Ok(())
}

fn credential(row: &Row<'_>) -> Result<Credential, Fault> {
    let last_used: Option<i64> = row.get(6)?;
    Ok(Credential {
        access_key_id: str(row, 0)?.to_owned(),
        name: str(row, 1)?.to_owned(),
        role: Role::from_claim(str(row, 2)?).ok_or_else(|| Fault::corrupt("role"))?,
        user_id: opt_uuid(row, 3)?,
        enabled: row.get(4)?,
        created_at: time(row, 5)?,
        last_used_at: last_used.map(|_| time(row, 6)).transpose()?,
    })
}
