//! Making many objects visible in one transaction: those that are refused are undone alone.

use rusqlite::Connection;

use super::errors::Fault;
use super::rules::Rules;
use super::{put, quotas};
use crate::errors::StorageError;
use crate::executor::Written;
use crate::executor::write::{TOGETHER, is_of_one_object};
use crate::file::{NewObject, PutMode};
use crate::permissions::Access;

/// Writes objects one after the other; each is decided as if those before it were there, and those that were refused were not. Quotas of
/// folders and of everything are held to the sum of so many, as on PostgreSQL; where one does not suffice, to each.
pub(super) fn put_many(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    objects: &[NewObject],
    mode: &PutMode,
) -> Result<Vec<Result<Written, StorageError>>, Fault> {
    let mut outcomes = Vec::with_capacity(objects.len());
    for some in objects.chunks(TOGETHER) {
        match put_all(conn, rules, access, some, mode)? {
            Some(together) => outcomes.extend(together),
            None => {
                for new in some {
                    outcomes.push(put_one(conn, rules, access, new, mode)?);
                }
            }
        }
    }
    Ok(outcomes)
}

/// Writes those objects that are let in, and holds quotas to their sum; `None` where that fails for one of them: then none is there.
fn put_all(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    objects: &[NewObject],
    mode: &PutMode,
) -> Result<Option<Vec<Result<Written, StorageError>>>, Fault> {
    attempt(conn, || {
        let mut outcomes = Vec::with_capacity(objects.len());
        for new in objects {
            outcomes.push(match put::admit(conn, rules, access, new, mode) {
                Ok(admitted) => {
                    let owner = access.context().user_id();
                    Ok(put::write(conn, (rules, access), owner, new.clone(), admitted)?)
                }
                // It was only looked at: there is nothing to undo.
                Err(Fault::Refused(error)) if is_of_one_object(&error) => Err(error),
                Err(fault) => return Err(fault),
            });
        }
        quotas::settle(conn)?;
        Ok(outcomes)
    })
    .map(Result::ok)
}

/// Writes an object. A quota is held to it alone, so that it is known which one is too much.
fn put_one(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    new: &NewObject,
    mode: &PutMode,
) -> Result<Result<Written, StorageError>, Fault> {
    attempt(conn, || {
        let written = put::put(conn, rules, access, new.clone(), mode)?;
        quotas::settle(conn)?;
        Ok(written)
    })
}

/// Undoes what was refused for what one object is; all else fails the whole.
fn attempt<T>(
    conn: &Connection,
    write: impl FnOnce() -> Result<T, Fault>,
) -> Result<Result<T, StorageError>, Fault> {
    let step = |sql: &str| -> Result<(), Fault> {
        conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    };
    step("SAVEPOINT attempt")?;
    let outcome = match write() {
        Ok(written) => Ok(written),
        Err(Fault::Refused(error)) if is_of_one_object(&error) => {
            step("ROLLBACK TO attempt")?;
            Err(error)
        }
        Err(fault) => return Err(fault),
    };
    step("RELEASE attempt")?;
    Ok(outcome)
}
