//! What a rule ends: only what is still what it was judged as.

use rusqlite::{Connection, named_params};
use uuid::Uuid;

use crate::Timestamp;
use crate::bucket::BucketName;
use crate::executor::Ending;
use crate::executor::lifecycle::REASON;
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::rls::text;
use crate::executor::sqlite::rows::{self, OBJECT, OBJECT_WIDTH, VERSION, now, str};
use crate::executor::sqlite::rules::Rules;
use crate::executor::sqlite::{delete, history, multipart};
use crate::permissions::{Access, Permission, RlsContext};
use crate::versions::Versioning;

/// Ends versions; gives those that went.
pub(in crate::executor::sqlite) fn end_versions(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    bucket: &BucketName,
    versions: &[(Uuid, Ending)],
) -> Result<Vec<Uuid>, Fault> {
    let context = access.on_rows(Permission::Maintain, None)?;
    let now = now();
    let mut gone = Vec::with_capacity(versions.len());
    for (version, ending) in versions {
        let went = match ending {
            Ending::Object => end_object(conn, (rules, context), bucket, *version)?,
            Ending::Version => end_older(conn, bucket, *version, now)?,
            Ending::Marker => end_marker(conn, bucket, *version, now)?,
        };
        if went {
            gone.push(*version);
        }
    }
    Ok(gone)
}

fn end_object(
    conn: &Connection,
    asked: (&Rules, &RlsContext),
    bucket: &BucketName,
    version: Uuid,
) -> Result<bool, Fault> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {OBJECT}, b.versioning FROM storage_objects o JOIN storage_buckets b ON b.id = o.bucket_id \
         WHERE o.version = :version AND +o.bucket_id = :bucket"
    ))?;
    let mut rows =
        statement.query(named_params! { ":version": text(version), ":bucket": bucket.as_str() })?;
    let Some(row) = rows.next()? else { return Ok(false) };
    let object = rows::object(row, 0)?;
    let word = str(row, OBJECT_WIDTH)?;
    let versioning = Versioning::from_word(word).ok_or_else(|| Fault::corrupt("versioning"))?;
    drop(rows);
    delete::delete(conn, asked, versioning, &object, &[("reason", REASON)])?;
    Ok(true)
}

fn end_older(conn: &Connection, bucket: &BucketName, version: Uuid, now: Timestamp) -> Result<bool, Fault> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {VERSION}, o.is_delete_marker FROM storage_object_versions o \
         WHERE o.version = :version AND +o.bucket_id = :bucket"
    ))?;
    let mut rows =
        statement.query(named_params! { ":version": text(version), ":bucket": bucket.as_str() })?;
    let Some(row) = rows.next()? else { return Ok(false) };
    let (object, is_marker) = (rows::object(row, 0)?, row.get(OBJECT_WIDTH)?);
    drop(rows);
    history::end(conn, (&object, is_marker), &[("reason", REASON)], now)?;
    Ok(true)
}

fn end_marker(conn: &Connection, bucket: &BucketName, version: Uuid, now: Timestamp) -> Result<bool, Fault> {
    let is_alone: bool = conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM storage_object_versions o WHERE o.version = :version \
             AND +o.bucket_id = :bucket AND o.is_delete_marker \
             AND NOT EXISTS (SELECT 1 FROM storage_objects c WHERE c.bucket_id = o.bucket_id AND c.path = o.path) \
             AND NOT EXISTS (SELECT 1 FROM storage_object_versions v WHERE v.bucket_id = o.bucket_id \
                AND v.path = o.path AND v.sequence <> o.sequence))",
        )?
        .query_row(named_params! { ":version": text(version), ":bucket": bucket.as_str() }, |row| row.get(0))?;
    if is_alone { end_older(conn, bucket, version, now) } else { Ok(false) }
}

/// Gives up those of these uploads that are unfinished; gives them.
pub(in crate::executor::sqlite) fn end_uploads(
    conn: &Connection,
    access: &Access,
    uploads: &[Uuid],
) -> Result<Vec<Uuid>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let mut gone = Vec::with_capacity(uploads.len());
    for upload in uploads {
        let is_open: bool = conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM multipart_uploads WHERE id = :id AND ended = 0)")?
            .query_row(named_params! { ":id": text(*upload) }, |row| row.get(0))?;
        if is_open && multipart::lost(conn, *upload)? {
            gone.push(*upload);
        }
    }
    Ok(gone)
}
