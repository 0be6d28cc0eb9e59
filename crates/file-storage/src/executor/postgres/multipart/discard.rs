//! How uploads go away without becoming an object.

use std::sync::Arc;

use tokio_postgres::Row;
use uuid::Uuid;

use super::find::any;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::rls::Caller;
use crate::executor::postgres::rows::now;
use crate::executor::postgres::session::{Answer, Session, Step, alone};
use crate::file::BlobKey;
use crate::multipart::{GoneUpload, UploadAt};
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

pub(super) const DISCARD: &str = "SELECT {inner}.discard_upload($1)";

/// Gives uploads of a bucket up: everybody's, or the caller's own. Of those that became objects nothing but the memory goes,
/// whosever they are. Takes the bucket, whether it is everybody's, the caller's role and user, and how many at most.
pub(in crate::executor::postgres) const DISCARD_OF_BUCKET: &str = "SELECT id, bucket_id, path, ended, \
     {inner}.discard_upload(id) FROM (SELECT id, bucket_id, path, ended FROM {schema}.multipart_uploads WHERE bucket_id = $1 \
     AND ($2::boolean OR ended OR role = $3::text AND owner_id IS NOT DISTINCT FROM $4::uuid) \
     ORDER BY id LIMIT $5 FOR UPDATE) doomed";

/// What another process is at is passed over.
const EXPIRE: &str = "SELECT id, bucket_id, path, ended, {inner}.discard_upload(id) FROM \
     (SELECT id, bucket_id, path, ended FROM {schema}.multipart_uploads \
     WHERE expires_at <= $1 ORDER BY expires_at, id LIMIT $2 FOR UPDATE SKIP LOCKED) doomed";

const LOST: &str = "SELECT {inner}.discard_upload(id) FROM \
     (SELECT id FROM {schema}.multipart_uploads WHERE id = $1 AND EXISTS (SELECT 1 FROM {schema}.multipart_parts p \
        WHERE p.blob_key = $2 AND p.upload_id = $1) FOR UPDATE) doomed";

/// Gives an upload up, which need not have time any more. One that became an object is none.
pub(in crate::executor::postgres) async fn abort(
    pool: &Arc<Pool>,
    access: &Access,
    at: &UploadAt,
) -> Result<(), Fault> {
    let mut session = Session::start(pool, "abort_multipart").await?;
    let upload = any(&mut session, access, at).await?;
    if upload.resumable.as_ref().is_some_and(|resumable| resumable.completed_at.is_some()) {
        return Err(StorageError::UploadNotFound { upload: at.id }.into());
    }
    session.run(&[Step::Run(DISCARD, &[&at.id]), Step::Commit]).await.map(drop)
}

/// Gives up uploads whose time is over; gives them.
pub(in crate::executor::postgres) async fn expire(
    pool: &Arc<Pool>,
    access: &Access,
    limit: u32,
) -> Result<Vec<GoneUpload>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let values = [&now() as _, &i64::from(limit) as _];
    let gone = alone(pool, "expire_uploads", &Caller::keeper(), EXPIRE, &values).await?;
    given_up(&gone)
}

/// The uploads that a statement of these gave up.
pub(in crate::executor::postgres) fn given_up(gone: &Answer) -> Result<Vec<GoneUpload>, Fault> {
    let upload = |row: &Row| {
        let (bucket, path) = (BucketName::parse(row.try_get(1)?)?, ObjectPath::parse(row.try_get(2)?)?);
        Ok(GoneUpload { at: UploadAt { bucket, path, id: row.try_get(0)? }, ended: row.try_get(3)? })
    };
    gone.rows.iter().map(upload).collect()
}

/// Gives an upload up of which this blob is, as it is lost; `false` where it is gone, or has another part in its place.
pub(in crate::executor::postgres) async fn lost(
    pool: &Arc<Pool>,
    upload: Uuid,
    blob: &BlobKey,
) -> Result<bool, Fault> {
    let values = [&upload as _, &blob.as_str() as _];
    let gone = alone(pool, "delete_lost_object", &Caller::keeper(), LOST, &values).await?;
    Ok(!gone.rows.is_empty())
}
