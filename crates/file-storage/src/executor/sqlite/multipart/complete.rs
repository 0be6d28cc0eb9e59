//! Making an object of an upload: its parts become the object's segments, in the transaction that makes it visible.

use rusqlite::{Connection, named_params};
use uuid::Uuid;

use super::discard::{discard, discard_parts};
use super::find::{pieces, show};
use crate::Timestamp;
use crate::executor::assembly::{self, Piece};
use crate::executor::displaced::About;
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::ledger::{Holder, release_unfinished};
use crate::executor::sqlite::rls::text;
use crate::executor::sqlite::rows::{int, micros, now};
use crate::executor::sqlite::rules::Rules;
use crate::executor::sqlite::{put, queue};
use crate::executor::{Copies, Written};
use crate::file::{NewObject, ObjectAttributes};
use crate::multipart::{Chosen, Completion, MultipartUpload, UploadAt};
use crate::permissions::{Access, Permission};

/// Completes an upload.
pub(in crate::executor::sqlite) fn complete(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    at: &UploadAt,
    completion: &Completion,
) -> Result<Written, Fault> {
    access.on_object(Permission::UploadContinue, &at.bucket, &at.path)?;
    let (upload, now) = (show(conn, access, at)?, now());
    let (assembled, sources) = match &completion.parts {
        Chosen::Listed(listed) => {
            let mut pieces = pieces(conn, at)?;
            let left_out = assembly::choose(&mut pieces, listed, completion.min_part_size)?;
            let mut freed: u64 = 0;
            for number in left_out {
                freed = freed.saturating_add(discard_parts(conn, at.id, number..=number, now)?);
            }
            release_unfinished(conn, &Holder::of(&upload), freed, now)?;
            (assembly::of_parts(&pieces), vec![(upload.clone(), pieces)])
        }
        Chosen::Appended { epoch } => {
            assembly::check_end(&upload, *epoch)?;
            let pieces = pieces(conn, at)?;
            (assembly::of_run(&pieces), vec![(upload.clone(), pieces)])
        }
        Chosen::Concatenated(others) => {
            let mut sources = Vec::with_capacity(others.len());
            for other in others {
                let source = show(conn, access, other)?;
                assembly::check_partial(&upload, &source)?;
                let pieces = pieces(conn, other)?;
                sources.push((source, pieces));
            }
            let all: Vec<Piece> = sources.iter().flat_map(|(_, pieces)| pieces).cloned().collect();
            (assembly::of_run(&all), sources)
        }
    };
    // What the parts count for is given back before the object counts: a quota has room for one of the two.
    for (source, pieces) in &sources {
        let bytes = pieces.iter().fold(0_u64, |bytes, piece| bytes.saturating_add(piece.size));
        release_unfinished(conn, &Holder::of(source), bytes, now)?;
    }
    let size = assembled.size;
    assembly::check_size(size, completion.max_size)?;
    let object = NewObject {
        bucket_uuid: put::bucket_uuid(conn, &at.bucket)?,
        bucket: at.bucket.clone(),
        path: at.path.clone(),
        attributes: ObjectAttributes { extra: completion.extra.clone(), ..upload.attributes.clone() },
        size,
        checksum: assembled.checksum,
        etag: assembled.etag,
        version: completion.version,
        segments: Vec::new(),
        copies: Copies::default(),
    };
    let written = put::put_for(conn, rules, access, upload.owner_id, object, &completion.mode)?;
    link(conn, completion.version, &sources)?;
    queue::add_copies(conn, About::upload(access, &upload), completion.version, &completion.copies, now)?;
    for (source, _) in &sources {
        if source.at.id != at.id {
            discard(conn, &Holder::of(source), now)?;
        }
    }
    end(conn, &upload, size, now)?;
    Ok(written)
}

/// Makes parts the segments of a version.
fn link(conn: &Connection, version: Uuid, sources: &[(MultipartUpload, Vec<Piece>)]) -> Result<(), Fault> {
    let (mut ordinal, mut offset) = (0_i64, 0_u64);
    for (source, pieces) in sources {
        conn.prepare_cached(
            "INSERT INTO storage_segments (version, ordinal, \"offset\", size, sha256, provider, blob_key, bytes) \
             SELECT :version, :ordinal + row_number() OVER turn - 1, :offset + sum(size) OVER turn - size, size, \
             sha256, provider, blob_key, bytes FROM multipart_parts WHERE upload_id = :id AND size > 0 \
             WINDOW turn AS (ORDER BY number ROWS UNBOUNDED PRECEDING)",
        )?
        .execute(named_params! {
            ":version": text(version), ":ordinal": ordinal, ":offset": int(offset), ":id": text(source.at.id),
        })?;
        conn.prepare_cached("DELETE FROM multipart_parts WHERE upload_id = :id")?
            .execute(named_params! { ":id": text(source.at.id) })?;
        for piece in pieces.iter().filter(|piece| piece.size > 0) {
            ordinal += 1;
            offset = offset.saturating_add(piece.size);
        }
    }
    Ok(())
}

/// Forgets a completed upload, or remembers for a while that it came.
fn end(conn: &Connection, upload: &MultipartUpload, size: u64, now: Timestamp) -> Result<(), Fault> {
    if upload.resumable.is_none() {
        return discard(conn, &Holder::of(upload), now);
    }
    conn.prepare_cached(
        "UPDATE resumable_uploads SET length = :length, completed_at = :now WHERE upload_id = :id",
    )?
    .execute(named_params! { ":id": text(upload.at.id), ":length": int(size), ":now": micros(now) })?;
    conn.prepare_cached("UPDATE multipart_uploads SET ended = 1 WHERE id = :id")?
        .execute(named_params! { ":id": text(upload.at.id) })?;
    Ok(())
}
