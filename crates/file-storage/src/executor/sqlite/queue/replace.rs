//! Has rows refer to a good blob where they referred to a bad one on the same provider.

use rusqlite::{Connection, named_params};

use super::claims::flip;
use crate::executor::ReferredBlob;
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::rows::{int, micros, now};
use crate::file::BlobKey;
use crate::permissions::{Access, Permission};

/// Has what refers to a bad blob refer to a good one; what follows the blob, follows, and the bad one goes.
pub(in crate::executor::sqlite) fn replace(
    conn: &Connection,
    access: &Access,
    bad: &ReferredBlob,
    good: &BlobKey,
) -> Result<bool, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let (now, provider) = (micros(now()), bad.provider.as_ref());
    let (old, new) = (bad.key.as_str(), good.as_str());
    let changed = match &bad.copy_of {
        None => flip(conn, &bad.key, good, provider)?,
        Some(_) => conn
            .prepare_cached(
                "UPDATE blob_copies SET copy_key = :new, verified_at = :now \
                 WHERE copy_key = :old AND provider = :provider",
            )?
            .execute(named_params! { ":new": new, ":now": now, ":old": old, ":provider": provider })?,
    };
    if changed != 1 {
        return Ok(false);
    }
    // Before the bad blob is let go of, with which they would go.
    conn.prepare_cached(
        "UPDATE upload_queue SET blob_key = :new, updated_at = :now WHERE blob_key = :old AND status <> 'completed'",
    )?
    .execute(named_params! { ":new": new, ":now": now, ":old": old })?;
    conn.prepare_cached("UPDATE blob_copies SET blob_key = :new WHERE blob_key = :old")?
        .execute(named_params! { ":new": new, ":old": old })?;
    conn.prepare_cached(
        "INSERT INTO blob_deletions (blob_key, provider, size, queued_at) VALUES (:old, :provider, :size, :now)",
    )?
    .execute(named_params! { ":old": old, ":provider": provider, ":size": int(bad.size), ":now": now })?;
    Ok(true)
}
