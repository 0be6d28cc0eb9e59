//! Unfinished uploads and their parts as rows, for who may go on with them: to everybody else they are not there.

use std::sync::{Arc, LazyLock};

use tokio_postgres::Row;
use tokio_postgres::types::Json;

use crate::bucket::BucketName;
use crate::digests::ObjectChecksum;
use crate::errors::StorageError;
use crate::executor::assembly::Piece;
use crate::executor::columns::{PART, UPLOAD};
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::rls::{Caller, Subject};
use crate::executor::postgres::rows::{count, digest, extra, now, opt_count, segment};
use crate::executor::postgres::session::{Session, Step, read};
use crate::file::{ObjectAttributes, Segment};
use crate::multipart::{MultipartUpload, Part, Resumable, UploadAt, UploadListing};
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission, Role};

/// Who asks whether an upload came is told so as long as there is an object where it went.
const STANDS: &str = "(r.completed_at IS NULL OR EXISTS \
     (SELECT 1 FROM {schema}.storage_objects o WHERE o.bucket_id = m.bucket_id AND o.path = m.path \
     AND o.owner_id IS NOT DISTINCT FROM m.owner_id))";

const FROM: &str = "FROM {schema}.multipart_uploads m \
     LEFT JOIN {schema}.resumable_uploads r ON r.upload_id = m.id";

/// Who began an upload, and the service role: for the first two parameters, role and user.
const OWN: &str =
    "($1::text = 'service_role' OR (m.role = $1::text AND m.owner_id IS NOT DISTINCT FROM $2::uuid))";

static FIND: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {UPLOAD} {FROM} WHERE m.id = $3 AND m.bucket_id = $4 AND m.path = $5 AND {OWN} AND {STANDS}"
    )
});

/// Nobody else changes the upload until the transaction ends. A statement before the one that reads it: one that waited for
/// the lock itself would see what is joined to the row as it was before.
const HOLD: &str = "SELECT FROM {schema}.multipart_uploads WHERE id = $1 FOR NO KEY UPDATE";

const PIECES: &str =
    "SELECT number, size, sha256, etag FROM {schema}.multipart_parts WHERE upload_id = $1 ORDER BY number";

/// An upload that still has time.
pub(in crate::executor::postgres) async fn show(
    pool: &Arc<Pool>,
    access: &Access,
    at: &UploadAt,
) -> Result<MultipartUpload, Fault> {
    let context = access.on_object(Permission::UploadContinue, &at.bucket, &at.path)?;
    let Subject { role, user } = Subject::from(context);
    let values = [&role as _, &user as _, &at.id as _, &at.bucket.as_str() as _, &at.path.as_str() as _];
    let found = read(pool, "multipart", &Caller::keeper(), &FIND, &values).await?;
    in_time(first(found.first(), at)?)
}

/// An upload, also one whose time is over; nobody else changes it until the session's transaction ends.
pub(super) async fn any(
    session: &mut Session,
    access: &Access,
    at: &UploadAt,
) -> Result<MultipartUpload, Fault> {
    let context = access.on_object(Permission::UploadContinue, &at.bucket, &at.path)?;
    let Subject { role, user } = Subject::from(context);
    let values = [&role as _, &user as _, &at.id as _, &at.bucket.as_str() as _, &at.path.as_str() as _];
    let steps = [Step::As(&Caller::keeper()), Step::Run(HOLD, &[&at.id]), Step::Run(&FIND, &values)];
    let answers = session.run(&steps).await?;
    first(answers.get(1).and_then(|answer| answer.rows.first()), at)
}

/// An upload that still has time; nobody else changes it until the session's transaction ends.
pub(super) async fn hold(
    session: &mut Session,
    access: &Access,
    at: &UploadAt,
) -> Result<MultipartUpload, Fault> {
    in_time(any(session, access, at).await?)
}

fn first(row: Option<&Row>, at: &UploadAt) -> Result<MultipartUpload, Fault> {
    match row {
        Some(row) => upload(row),
        None => Err(StorageError::UploadNotFound { upload: at.id }.into()),
    }
}

fn in_time(upload: MultipartUpload) -> Result<MultipartUpload, Fault> {
    if upload.expires_at <= now() {
        return Err(StorageError::UploadExpired { upload: upload.at.id }.into());
    }
    Ok(upload)
}

fn upload(row: &Row) -> Result<MultipartUpload, Fault> {
    let Json(metadata) = row.try_get(8)?;
    let checksum = row.try_get::<_, Option<Json<ObjectChecksum>>>(9)?.map(|Json(checksum)| checksum);
    let held_bytes = count(row, 10)?;
    let (length, completed_at) = (opt_count(row, 13)?, row.try_get::<_, Option<crate::Timestamp>>(17)?);
    let resumable = match opt_count(row, 14)? {
        None => None,
        Some(epoch) => Some(Resumable {
            length,
            offset: completed_at.and(length).unwrap_or(held_bytes),
            epoch,
            is_partial: row.try_get(15)?,
            told: row.try_get(16)?,
            completed_at,
        }),
    };
    Ok(MultipartUpload {
        at: UploadAt {
            id: row.try_get(0)?,
            bucket: BucketName::parse(row.try_get(1)?)?,
            path: ObjectPath::parse(row.try_get(2)?)?,
        },
        role: Role::from_claim(row.try_get(3)?).ok_or_else(|| Fault::corrupt("role"))?,
        owner_id: row.try_get(4)?,
        replaces: row.try_get(5)?,
        attributes: ObjectAttributes {
            content_type: row.try_get(6)?,
            cache_control: row.try_get(7)?,
            metadata,
            extra: extra(row, 18)?,
        },
        nonce: row.try_get(19)?,
        checksum,
        held_bytes,
        resumable,
        created_at: row.try_get(11)?,
        expires_at: row.try_get(12)?,
    })
}

/// Uploads in numbered parts of a bucket, by path and then by age. Those of nobody in particular are listed for the service
/// role alone: to know one's name is all that it takes to go on with it.
pub(in crate::executor::postgres) async fn list(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    listing: &UploadListing,
) -> Result<Vec<MultipartUpload>, Fault> {
    static LIST: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT {UPLOAD} {FROM} WHERE m.bucket_id = $3 AND starts_with(m.path, $4) AND m.path >= $4 \
             AND m.path >= $5 AND (m.path > $5 OR m.id > $6) AND r.upload_id IS NULL AND {OWN} \
             AND ($1::text = 'service_role' OR m.owner_id IS NOT NULL) ORDER BY m.path, m.id LIMIT $7"
        )
    });
    let context = access.on_rows(Permission::UploadContinue, Some(bucket))?;
    // No path has that character, and PostgreSQL's text can't.
    let after = listing.after.as_ref();
    if listing.prefix.contains('\0') || after.is_some_and(|(path, _)| path.contains('\0')) {
        return Ok(Vec::new());
    }
    let (path, id) = match after {
        Some((path, id)) => (path.as_str(), id.unwrap_or(uuid::Uuid::max())),
        None => ("", uuid::Uuid::nil()),
    };
    let Subject { role, user } = Subject::from(context);
    let limit = i64::from(listing.limit);
    let values = [
        &role as _,
        &user as _,
        &bucket.as_str() as _,
        &listing.prefix as _,
        &path as _,
        &id as _,
        &limit as _,
    ];
    let found = read(pool, "list_multipart", &Caller::keeper(), &LIST, &values).await?;
    found.iter().map(upload).collect()
}

/// Parts of an upload, by number, after the given one.
pub(in crate::executor::postgres) async fn parts(
    pool: &Arc<Pool>,
    access: &Access,
    at: &UploadAt,
    after: u32,
    limit: u32,
) -> Result<Vec<Part>, Fault> {
    static PARTS: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT {PART} FROM {{schema}}.multipart_parts p WHERE p.upload_id = $1 AND p.number > $2 \
             ORDER BY p.number LIMIT $3"
        )
    });
    show(pool, access, at).await?;
    let after = i32::try_from(after).unwrap_or(i32::MAX);
    let values = [&at.id as _, &after as _, &i64::from(limit) as _];
    let found = read(pool, "parts", &Caller::keeper(), &PARTS, &values).await?;
    let part = |row: &Row| {
        let Json(checksums) = row.try_get(4)?;
        Ok(Part {
            number: number(row, 0)?,
            size: count(row, 1)?,
            sha256: digest(row, 2)?,
            etag: row.try_get(3)?,
            checksums,
            created_at: row.try_get(5)?,
        })
    };
    found.iter().map(part).collect()
}

/// Where the bytes of an upload's first parts are, beginning with a number.
pub(in crate::executor::postgres) async fn first_parts(
    pool: &Arc<Pool>,
    access: &Access,
    at: &UploadAt,
    number: u32,
    limit: u32,
) -> Result<Vec<Segment>, Fault> {
    const FIRST: &str = "SELECT 0::bigint, size, sha256, provider, blob_key, bytes FROM {schema}.multipart_parts \
         WHERE upload_id = $1 AND number >= $2 ORDER BY number LIMIT $3";
    show(pool, access, at).await?;
    let number = i32::try_from(number).unwrap_or(i32::MAX);
    let values = [&at.id as _, &number as _, &i64::from(limit) as _];
    let found = read(pool, "first_parts", &Caller::keeper(), FIRST, &values).await?;
    let mut segments = Vec::with_capacity(found.len());
    for row in &found {
        segments.extend(segment(row, 0)?);
    }
    Ok(segments)
}

/// What decides about an object made of an upload's parts, by number.
pub(super) async fn pieces(session: &mut Session, at: &UploadAt) -> Result<Vec<Piece>, Fault> {
    let answers = session.run(&[Step::As(&Caller::keeper()), Step::Run(PIECES, &[&at.id])]).await?;
    let piece = |row: &Row| {
        Ok(Piece {
            number: number(row, 0)?,
            size: count(row, 1)?,
            sha256: digest(row, 2)?,
            etag: row.try_get(3)?,
        })
    };
    answers.first().map_or(&[][..], |answer| &answer.rows).iter().map(piece).collect()
}

fn number(row: &Row, at: usize) -> Result<u32, Fault> {
    u32::try_from(row.try_get::<_, i32>(at)?).map_err(|_| Fault::corrupt("number of a part"))
}
