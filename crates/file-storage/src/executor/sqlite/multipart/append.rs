//! Uploads that are appended to: taken over, added to at their end, and nowhere else.

use bytes::Bytes;
use rusqlite::{Connection, named_params};

use super::discard::discard_parts;
use super::find::{any, opt_int, show};
use super::part::{extend, insert};
use crate::Timestamp;
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::ledger::count_unfinished;
use crate::executor::sqlite::rls::text;
use crate::executor::sqlite::rows::{count, digest, now};
use crate::file::{Place, Segment};
use crate::multipart::{Append, Claimed, MultipartUpload, UploadAt};
use crate::permissions::Access;

/// Takes an upload over: whoever had it before appends nothing any more.
pub(in crate::executor::sqlite) fn claim(
    conn: &Connection,
    access: &Access,
    at: &UploadAt,
    expires_at: Timestamp,
) -> Result<Claimed, Fault> {
    let mut upload = show(conn, access, at)?;
    if upload.resumable()?.completed_at.is_none() {
        extend(conn, at, expires_at)?;
        upload.expires_at = upload.expires_at.max(expires_at);
    }
    conn.prepare_cached("UPDATE resumable_uploads SET epoch = epoch + 1 WHERE upload_id = :id")?
        .execute(named_params! { ":id": text(at.id) })?;
    if let Some(resumable) = &mut upload.resumable {
        resumable.epoch = resumable.epoch.saturating_add(1);
    }
    let tail = tail(conn, &upload)?;
    Ok(Claimed { upload, tail })
}

/// The last parts, as far back as they are inline.
fn tail(conn: &Connection, upload: &MultipartUpload) -> Result<Vec<Segment>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT size, sha256, bytes FROM multipart_parts WHERE upload_id = :id ORDER BY number DESC",
    )?;
    let mut rows = statement.query(named_params! { ":id": text(upload.at.id) })?;
    let (mut tail, mut end) = (Vec::new(), upload.held_bytes);
    while let Some(row) = rows.next()? {
        let Some(bytes) = row.get::<_, Option<Vec<u8>>>(2)? else { break };
        let size = count(row, 0)?;
        end = end.saturating_sub(size);
        tail.push(Segment {
            offset: end,
            size,
            sha256: digest(row, 1)?,
            place: Place::Inline(Bytes::from(bytes)),
            belongs: None,
        });
    }
    tail.reverse();
    Ok(tail)
}

/// Says how long an upload will be, where that was left open.
pub(in crate::executor::sqlite) fn announce_length(
    conn: &Connection,
    access: &Access,
    at: &UploadAt,
    length: u64,
) -> Result<(), Fault> {
    let upload = show(conn, access, at)?;
    let resumable = upload.resumable()?;
    crate::executor::assembly::check_length(resumable, length)?;
    conn.prepare_cached("UPDATE resumable_uploads SET length = :length WHERE upload_id = :id")?
        .execute(named_params! { ":id": text(at.id), ":length": opt_int(Some(length)) })?;
    Ok(())
}

/// Appends a run of bytes, with those of the parts that it takes in.
pub(in crate::executor::sqlite) fn append(
    conn: &Connection,
    access: &Access,
    at: &UploadAt,
    run: &Append,
    expires_at: Timestamp,
) -> Result<MultipartUpload, Fault> {
    // What came in time is taken, however long it took.
    let mut upload = any(conn, access, at)?;
    crate::executor::assembly::check_append(&upload, run)?;
    let now = now();
    let mut statement =
        conn.prepare_cached("SELECT coalesce(max(number), 0) FROM multipart_parts WHERE upload_id = :id")?;
    let last: u32 = statement.query_row(named_params! { ":id": text(at.id) }, |row| row.get(0))?;
    let kept = last.saturating_sub(run.takes_in);
    let returned = discard_parts(conn, at.id, kept.saturating_add(1)..=u32::MAX, now)?;
    insert(conn, (access, &upload), kept.saturating_add(1), &run.part, now)?;
    count_unfinished(conn, &upload, run.part.size, returned, now)?;
    extend(conn, at, expires_at)?;
    upload.held_bytes = upload.held_bytes.saturating_add(run.part.size).saturating_sub(returned);
    upload.expires_at = upload.expires_at.max(expires_at);
    if let Some(resumable) = &mut upload.resumable {
        resumable.offset = upload.held_bytes;
    }
    Ok(upload)
}
