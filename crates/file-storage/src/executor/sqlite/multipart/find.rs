//! Unfinished uploads and their parts as rows, for who may go on with them: to everybody else they are not there.

use std::sync::LazyLock;

use rusqlite::{Connection, Row, named_params};

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::assembly::Piece;
use crate::executor::columns::{PART, UPLOAD};
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::rls::{Caller, builtin, text};
use crate::executor::sqlite::rows::{
    count, digest, int, json, metadata, now, opt_count, opt_uuid, segment, str, time, uuid,
};
use crate::file::{ObjectAttributes, Segment};
use crate::multipart::{MultipartUpload, Part, Resumable, UploadAt, UploadListing};
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission, Role};

const FROM: &str = "FROM multipart_uploads m LEFT JOIN resumable_uploads r ON r.upload_id = m.id";

/// Who asks whether an upload came is told so as long as there is an object of theirs where it went.
const STANDS: &str = "(r.completed_at IS NULL \
     OR EXISTS (SELECT 1 FROM storage_objects o WHERE o.bucket_id = m.bucket_id AND o.path = m.path \
     AND o.owner_id IS m.owner_id))";

/// An upload, also one whose time is over.
pub(super) fn any(conn: &Connection, access: &Access, at: &UploadAt) -> Result<MultipartUpload, Fault> {
    static FIND: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT {UPLOAD} {FROM} WHERE m.id = :id AND m.bucket_id = :bucket AND m.path = :path AND {} AND {STANDS}",
            builtin(Permission::UploadContinue)
        )
    });
    let caller = Caller::from(access.on_object(Permission::UploadContinue, &at.bucket, &at.path)?);
    let mut statement = conn.prepare_cached(&FIND)?;
    let mut rows = statement.query(named_params! {
        ":id": text(at.id), ":bucket": at.bucket.as_str(), ":path": at.path.as_str(),
        ":role": caller.role, ":uid": caller.uid,
    })?;
    match rows.next()? {
        Some(row) => upload(row),
        None => Err(StorageError::UploadNotFound { upload: at.id }.into()),
    }
}

/// An upload that still has time.
pub(in crate::executor::sqlite) fn show(
    conn: &Connection,
    access: &Access,
    at: &UploadAt,
) -> Result<MultipartUpload, Fault> {
    let upload = any(conn, access, at)?;
    if upload.expires_at <= now() {
        return Err(StorageError::UploadExpired { upload: at.id }.into());
    }
    Ok(upload)
}

fn upload(row: &Row<'_>) -> Result<MultipartUpload, Fault> {
    let held_bytes = count(row, 10)?;
    let completed_at = match row.get::<_, Option<i64>>(17)? {
        Some(_) => Some(time(row, 17)?),
        None => None,
    };
    let length = opt_count(row, 13)?;
    let resumable = match opt_count(row, 14)? {
        None => None,
        Some(epoch) => Some(Resumable {
            length,
            offset: completed_at.and(length).unwrap_or(held_bytes),
            epoch,
            is_partial: row.get(15)?,
            told: row.get(16)?,
            completed_at,
        }),
    };
    Ok(MultipartUpload {
        at: UploadAt {
            id: uuid(row, 0)?,
            bucket: BucketName::parse(str(row, 1)?)?,
            path: ObjectPath::parse(str(row, 2)?)?,
        },
        role: Role::from_claim(str(row, 3)?).ok_or_else(|| Fault::corrupt("role"))?,
        owner_id: opt_uuid(row, 4)?,
        replaces: row.get(5)?,
        attributes: ObjectAttributes {
            content_type: row.get(6)?,
            cache_control: row.get(7)?,
            metadata: metadata(row, 8)?,
            extra: json(row, 18, "extra")?,
        },
        nonce: opt_uuid(row, 19)?,
        checksum: json(row, 9, "checksum")?,
        held_bytes,
        resumable,
        created_at: time(row, 11)?,
        expires_at: time(row, 12)?,
    })
}

/// Uploads in numbered parts of a bucket, by path and then by age. Those of nobody in particular are listed for the service
/// role alone: to know one's name is all that it takes to go on with it.
pub(in crate::executor::sqlite) fn list(
    conn: &Connection,
    access: &Access,
    bucket: &BucketName,
    listing: &UploadListing,
) -> Result<Vec<MultipartUpload>, Fault> {
    let caller = Caller::from(access.on_rows(Permission::UploadContinue, Some(bucket))?);
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {UPLOAD} {FROM} WHERE m.bucket_id = :bucket AND m.path >= :prefix AND m.path >= :after \
         AND substr(m.path, 1, length(:prefix)) = :prefix AND (m.path > :after OR m.id > :id) \
         AND r.upload_id IS NULL AND {} AND (:role = 'service_role' OR m.owner_id IS NOT NULL) ORDER BY m.path, m.id LIMIT :limit",
        builtin(Permission::UploadContinue)
    ))?;
    let (after, id) = match &listing.after {
        Some((path, id)) => (path.as_str(), id.map_or_else(|| "~".to_owned(), text)),
        None => ("", String::new()),
    };
    let mut rows = statement.query(named_params! {
        ":bucket": bucket.as_str(), ":prefix": listing.prefix, ":after": after, ":id": id,
        ":role": caller.role, ":uid": caller.uid, ":limit": listing.limit,
    })?;
    let mut uploads = Vec::new();
    while let Some(row) = rows.next()? {
        uploads.push(upload(row)?);
    }
    Ok(uploads)
}

/// Parts of an upload, by number, after the given one.
pub(in crate::executor::sqlite) fn parts(
    conn: &Connection,
    access: &Access,
    at: &UploadAt,
    after: u32,
    limit: u32,
) -> Result<Vec<Part>, Fault> {
    show(conn, access, at)?;
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {PART} FROM multipart_parts p WHERE p.upload_id = :id AND p.number > :after \
         ORDER BY p.number LIMIT :limit"
    ))?;
    let mut rows = statement.query(named_params! { ":id": text(at.id), ":after": after, ":limit": limit })?;
    let mut parts = Vec::new();
    while let Some(row) = rows.next()? {
        parts.push(Part {
            number: row.get(0)?,
            size: count(row, 1)?,
            sha256: digest(row, 2)?,
            etag: row.get(3)?,
            checksums: json(row, 4, "checksums")?,
            created_at: time(row, 5)?,
        });
    }
    Ok(parts)
}

/// Where the bytes of an upload's first parts are, beginning with a number.
pub(in crate::executor::sqlite) fn first_parts(
    conn: &Connection,
    access: &Access,
    at: &UploadAt,
    number: u32,
    limit: u32,
) -> Result<Vec<Segment>, Fault> {
    show(conn, access, at)?;
    let mut statement = conn.prepare_cached(
        "SELECT 0, size, sha256, provider, blob_key, bytes FROM multipart_parts \
         WHERE upload_id = :id AND number >= :number ORDER BY number LIMIT :limit",
    )?;
    let mut rows =
        statement.query(named_params! { ":id": text(at.id), ":number": number, ":limit": limit })?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.extend(segment(row, 0)?);
    }
    Ok(found)
}

/// What decides about an object made of an upload's parts, by number.
pub(super) fn pieces(conn: &Connection, at: &UploadAt) -> Result<Vec<Piece>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT number, size, sha256, etag FROM multipart_parts WHERE upload_id = :id ORDER BY number",
    )?;
    let mut rows = statement.query(named_params! { ":id": text(at.id) })?;
    let mut pieces = Vec::new();
    while let Some(row) = rows.next()? {
        pieces.push(Piece {
            number: row.get(0)?,
            size: count(row, 1)?,
            sha256: digest(row, 2)?,
            etag: row.get(3)?,
        });
    }
    Ok(pieces)
}

/// A number as SQLite has it, where it may be missing.
pub(super) fn opt_int(number: Option<u64>) -> Option<i64> {
    number.map(int)
}
