//! Beginning an upload.

use rusqlite::{Connection, named_params};
use serde_json::{Value, json};

use super::find::opt_int;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::proposal::Proposed;
use crate::executor::sqlite::decide;
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::put::extra;
use crate::executor::sqlite::rls::text;
use crate::executor::sqlite::rows::{micros, now};
use crate::executor::sqlite::rules::Rules;
use crate::file::PutMode;
use crate::multipart::{MultipartUpload, NewMultipart, Resumable};
use crate::permissions::policy::Candidate;
use crate::permissions::{Access, Permission, RlsContext, Role};

/// Begins an upload where its object could be written now.
pub(in crate::executor::sqlite) fn create(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    new: NewMultipart,
    mode: &PutMode,
) -> Result<MultipartUpload, Fault> {
    let (at, now) = (new.at, now());
    let context = access.on_object(Permission::UploadContinue, &at.bucket, &at.path)?;
    let length = new.resumable.as_ref().and_then(|resumable| resumable.length);
    let candidate = Candidate::announced(&at.bucket, &at.path, Some(&new.attributes), length);
    let row = Proposed::Own(&candidate);
    let target = decide::write(conn, rules, access, (&at.bucket, &at.path), mode, row, now)?;
    if target.bucket.uuid != new.bucket_uuid {
        return Err(StorageError::BucketNotFound { bucket: at.bucket }.into());
    }
    check_number(conn, context, &at.bucket, new.most_unfinished)?;
    let upload = MultipartUpload {
        role: context.role(),
        owner_id: context.user_id(),
        replaces: !matches!(mode, PutMode::Create),
        nonce: new.nonce,
        attributes: new.attributes,
        checksum: new.checksum,
        held_bytes: 0,
        resumable: new.resumable.map(|new| Resumable {
            length: new.length,
            offset: 0,
            epoch: 1,
            is_partial: new.is_partial,
            told: new.told,
            completed_at: None,
        }),
        created_at: now,
        expires_at: new.expires_at,
        at,
    };
    conn.prepare_cached(
        "INSERT INTO multipart_uploads (id, bucket_id, path, role, owner_id, replaces, content_type, cache_control, \
         metadata, checksum, created_at, expires_at, extra, nonce) VALUES (:id, :bucket, :path, :role, :owner, :replaces, \
         :type, :cache, :metadata, :checksum, :created, :expires, :extra, :nonce)",
    )?
    .execute(named_params! {
        ":id": text(upload.at.id), ":bucket": upload.at.bucket.as_str(), ":path": upload.at.path.as_str(),
        ":role": upload.role.as_str(), ":owner": upload.owner_id.map(text), ":replaces": upload.replaces,
        ":type": upload.attributes.content_type, ":cache": upload.attributes.cache_control,
        ":metadata": Value::Object(upload.attributes.metadata.clone()).to_string(),
        ":checksum": upload.checksum.map(|checksum| json!(checksum).to_string()),
        ":created": micros(now), ":expires": micros(upload.expires_at),
        ":extra": extra(&upload.attributes.extra), ":nonce": upload.nonce.map(text),
    })?;
    if let Some(resumable) = &upload.resumable {
        conn.prepare_cached(
            "INSERT INTO resumable_uploads (upload_id, length, epoch, is_partial, told) \
             VALUES (:id, :length, 1, :partial, :told)",
        )?
        .execute(named_params! {
            ":id": text(upload.at.id), ":length": opt_int(resumable.length),
            ":partial": resumable.is_partial, ":told": resumable.told,
        })?;
    }
    Ok(upload)
}

/// Refuses one upload more than the caller may have unfinished.
fn check_number(
    conn: &Connection,
    context: &RlsContext,
    bucket: &BucketName,
    most: u32,
) -> Result<(), Fault> {
    if context.role() == Role::ServiceRole {
        return Ok(());
    }
    let mut statement = conn.prepare_cached(
        "SELECT count(*) FROM (SELECT 1 FROM multipart_uploads WHERE bucket_id = :bucket AND role = :role \
         AND owner_id IS :owner AND ended = 0 LIMIT :most)",
    )?;
    let found: u32 = statement.query_row(
        named_params! {
            ":bucket": bucket.as_str(), ":role": context.role().as_str(), ":owner": context.user_id().map(text),
            ":most": most,
        },
        |row| row.get(0),
    )?;
    if found >= most { Err(StorageError::TooManyUploads { limit: most }.into()) } else { Ok(()) }
}
