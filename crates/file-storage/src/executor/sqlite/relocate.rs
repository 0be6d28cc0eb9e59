//! Moving an object's row: no byte is touched.

use rusqlite::{Connection, named_params};

use super::decide::{look, write};
use super::errors::Fault;
use super::ledger::{Change, count_in_bucket, fits_in_bucket};
use super::rls::text;
use super::rows::{micros, now};
use super::rules::Rules;
use super::{events, removal};
use crate::bucket::BucketName;
use crate::executor::decide;
use crate::executor::proposal::{Proposed, Purpose};
use crate::file::{PutMode, StorageObject};
use crate::path::ObjectPath;
use crate::permissions::policy::Candidate;
use crate::permissions::{Access, Permission};

/// Moves an object.
pub(super) fn relocate(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    from: (&BucketName, &ObjectPath),
    to: (&BucketName, &ObjectPath),
    mode: &PutMode,
) -> Result<StorageObject, Fault> {
    let context = access.on_object(Permission::ObjectRead, from.0, from.1)?;
    let seen = look(conn, rules, context, Purpose::Remove, from)?;
    let source = decide::source(access, from, seen.map(|seen| seen.target))?;
    if from == to {
        return Ok(source);
    }
    let now = now();
    let moved = source.moved(to, now);
    let target = write(conn, rules, access, to, mode, Proposed::Moved(&Candidate::object(&moved)), now)?;
    let across = from.0 != to.0;
    if across {
        decide::takes(access, &target.bucket, &source)?;
    }
    let replaced = target.existing.as_ref();
    let change = Change {
        files: 1 - i64::from(replaced.is_some()),
        added: source.size,
        returned: replaced.map_or(0, |old| old.size),
    };
    if across {
        fits_in_bucket(&target.bucket, change)?;
    }
    if let Some(old) = replaced {
        removal::remove(conn, old, now)?;
    }
    // The segments follow the version (ON UPDATE CASCADE).
    conn.prepare_cached(
        "UPDATE storage_objects SET bucket_id = :bucket, path = :path, version = :version, updated_at = :now \
         WHERE bucket_id = :from_bucket AND path = :from_path",
    )?
    .execute(named_params! {
        ":bucket": moved.bucket.as_str(), ":path": moved.path.as_str(), ":version": text(moved.version),
        ":now": micros(now), ":from_bucket": from.0.as_str(), ":from_path": from.1.as_str(),
    })?;
    if across {
        let leaves = Change { files: -1, added: 0, returned: source.size };
        let comes = Change { files: 1, added: source.size, returned: 0 };
        count_in_bucket(conn, from.0.as_str(), leaves)?;
        count_in_bucket(conn, to.0.as_str(), comes)?;
    }
    let origin = [("from_bucket", from.0.as_str()), ("from_path", from.1.as_str())];
    events::object(conn, "storage.object.moved", &moved, &origin, now)?;
    Ok(moved)
}
