//! Parts: stored, in place of the one of the same number.

use rusqlite::{Connection, named_params};
use serde_json::json;

use super::discard::discard_parts;
use super::find::show;
use crate::Timestamp;
use crate::errors::StorageError;
use crate::executor::displaced::{About, Displaced};
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::ledger::count_unfinished;
use crate::executor::sqlite::queue;
use crate::executor::sqlite::rls::text;
use crate::executor::sqlite::rows::{int, micros, now};
use crate::file::Place;
use crate::multipart::{MultipartUpload, NewPart, Part, UploadAt};
use crate::permissions::Access;

/// Makes a part known. What was under its number before goes.
pub(in crate::executor::sqlite) fn put(
    conn: &Connection,
    access: &Access,
    at: &UploadAt,
    number: u32,
    part: NewPart,
    expires_at: Timestamp,
) -> Result<Part, Fault> {
    let upload = show(conn, access, at)?;
    if upload.resumable.is_some() {
        return Err(StorageError::UploadNotFound { upload: at.id }.into());
    }
    let now = now();
    let returned = discard_parts(conn, at.id, number..=number, now)?;
    insert(conn, (access, &upload), number, &part, now)?;
    count_unfinished(conn, &upload, part.size, returned, now)?;
    extend(conn, at, expires_at)?;
    let NewPart { size, sha256, etag, checksums, .. } = part;
    Ok(Part { number, size, sha256, etag, checksums, created_at: now })
}

/// Gives an upload more time.
pub(super) fn extend(conn: &Connection, at: &UploadAt, expires_at: Timestamp) -> Result<(), Fault> {
    conn.prepare_cached(
        "UPDATE multipart_uploads SET expires_at = max(expires_at, :expires) WHERE id = :id",
    )?
    .execute(named_params! { ":id": text(at.id), ":expires": micros(expires_at) })?;
    Ok(())
}

/// Writes down where a part is, and where it belongs.
pub(super) fn insert(
    conn: &Connection,
    (access, upload): (&Access, &MultipartUpload),
    number: u32,
    part: &NewPart,
    now: Timestamp,
) -> Result<(), Fault> {
    let (provider, key, bytes) = match &part.place {
        Place::Inline(bytes) => (None, None, Some(bytes.as_ref())),
        Place::Blob { provider, key } => (Some(provider.as_ref()), Some(key.as_str()), None),
    };
    conn.prepare_cached(
        "INSERT INTO multipart_parts (upload_id, number, size, sha256, etag, checksums, provider, blob_key, bytes, \
         created_at) VALUES (:id, :number, :size, :sha256, :etag, :checksums, :provider, :key, :bytes, :now)",
    )?
    .execute(named_params! {
        ":id": text(upload.at.id), ":number": number, ":size": int(part.size), ":sha256": part.sha256.to_hex(),
        ":etag": part.etag, ":checksums": json!(part.checksums).to_string(),
        ":provider": provider, ":key": key, ":bytes": bytes, ":now": micros(now),
    })?;
    match Displaced::of(part.belongs.as_ref(), &part.place, part.size) {
        Some(blob) => queue::add(conn, About::upload(access, upload), &blob, now),
        None => Ok(()),
    }
}
