//! Making many objects visible in one transaction: those that are refused are undone alone.

use rusqlite::Connection;

use super::errors::Fault;
use super::rules::Rules;
use super::{put, quotas};
use crate::errors::StorageError;
use crate::executor::Written;
use crate::executor::write::is_of_one_object;
use crate::file::{NewObject, PutMode};
use crate::permissions::Access;

/// Writes objects one after the other; each is decided as if those before it were there, and those that were refused were not.
pub(super) fn put_many(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    objects: Vec<NewObject>,
    mode: &PutMode,
) -> Result<Vec<Result<Written, StorageError>>, Fault> {
    let step = |sql: &str| -> Result<(), Fault> {
        conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    };
    let mut outcomes = Vec::with_capacity(objects.len());
    for new in objects {
        step("SAVEPOINT one_object")?;
        let written = put::put(conn, rules, access, new, mode).and_then(|written| {
            // A quota is held to each, so that it is known which one is too much.
            quotas::settle(conn)?;
            Ok(written)
        });
        match written {
            Ok(written) => outcomes.push(Ok(written)),
            Err(Fault::Refused(error)) if is_of_one_object(&error) => {
                step("ROLLBACK TO one_object")?;
                outcomes.push(Err(error));
            }
            Err(fault) => return Err(fault),
        }
        step("RELEASE one_object")?;
    }
    Ok(outcomes)
}
