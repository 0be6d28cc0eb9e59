//! Beginning an upload.

use std::sync::Arc;

use tokio_postgres::types::{Json, ToSql};

use crate::errors::StorageError;
use crate::executor::postgres::decide::{TARGET_TO_WRITE, version, write};
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::put::extra;
use crate::executor::postgres::rls::{Caller, Subject};
use crate::executor::postgres::rows::{count, int, now};
use crate::executor::postgres::session::{Session, Step};
use crate::executor::proposal::Proposed;
use crate::file::PutMode;
use crate::multipart::{MultipartUpload, NewMultipart, Resumable, UploadAt};
use crate::permissions::policy::Candidate;
use crate::permissions::{Access, Permission, RlsContext, Role};

const BEGIN: &str = "INSERT INTO {schema}.multipart_uploads (id, bucket_id, path, role, owner_id, replaces, content_type, \
     cache_control, metadata, checksum, created_at, expires_at, extra, nonce) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";

/// How many uploads a role and user have unfinished in a bucket, as far as that is counted.
const UNFINISHED: &str = "SELECT count(*) FROM (SELECT 1 FROM {schema}.multipart_uploads WHERE bucket_id = $1 AND role = $2 \
     AND (owner_id = $3::uuid OR owner_id IS NULL AND $3::uuid IS NULL) AND NOT ended LIMIT $4) found";

const BEGIN_RESUMABLE: &str = "INSERT INTO {schema}.resumable_uploads (upload_id, length, epoch, is_partial, told) \
     VALUES ($1, $2, 1, $3, $4)";

/// Begins an upload where its object could be written now.
pub(in crate::executor::postgres) async fn create(
    pool: &Arc<Pool>,
    access: &Access,
    new: &NewMultipart,
    mode: &PutMode,
) -> Result<MultipartUpload, Fault> {
    let (at, now) = (&new.at, now());
    let context = access.on_object(Permission::UploadContinue, &at.bucket, &at.path)?;
    let mut session = Session::start(pool, "create_multipart").await?;
    let Subject { role, user } = Subject::from(context);
    let place = [&role as _, &user as _, &at.bucket.as_str() as _, &at.path.as_str() as _];
    let found =
        session.run(&[Step::As(&Caller::keeper_by_keys()), Step::Run(&TARGET_TO_WRITE, &place)]).await?;
    let row = found.first().and_then(|answer| answer.rows.first());
    let rules = match row {
        Some(row) => pool.rules().within(&mut session, version(row)?).await?,
        None => Arc::default(),
    };
    let length = new.resumable.as_ref().and_then(|resumable| resumable.length);
    let candidate = Candidate::announced(&at.bucket, &at.path, Some(&new.attributes), length);
    let target = write(row, &rules, access, (&at.bucket, &at.path), mode, Proposed::Own(&candidate))?;
    if target.bucket.uuid != new.bucket_uuid {
        return Err(StorageError::BucketNotFound { bucket: at.bucket.clone() }.into());
    }
    check_number(&mut session, context, at, new.most_unfinished).await?;
    let replaces = !matches!(mode, PutMode::Create);
    let (metadata, checksum) = (Json(&new.attributes.metadata), new.checksum.map(Json));
    let extra = extra(&new.attributes.extra);
    let values: [&(dyn ToSql + Sync); 14] = [
        &at.id,
        &at.bucket.as_str(),
        &at.path.as_str(),
        &role,
        &user,
        &replaces,
        &new.attributes.content_type,
        &new.attributes.cache_control,
        &metadata,
        &checksum,
        &now,
        &new.expires_at,
        &extra,
        &new.nonce,
    ];
    let mut steps = vec![Step::Run(BEGIN, &values)];
    let told = new.resumable.as_ref();
    let length = length.map(int);
    let (is_partial, metadata) =
        told.map_or((false, ""), |resumable| (resumable.is_partial, resumable.told.as_str()));
    let resumable: [&(dyn ToSql + Sync); 4] = [&at.id, &length, &is_partial, &metadata];
    if told.is_some() {
        steps.push(Step::Run(BEGIN_RESUMABLE, &resumable));
    }
    steps.push(Step::Commit);
    session.run(&steps).await?;
    Ok(begun(access, new, replaces, now))
}

/// Refuses one upload more than the caller may have unfinished.
async fn check_number(
    session: &mut Session,
    context: &RlsContext,
    at: &UploadAt,
    most: u32,
) -> Result<(), Fault> {
    if context.role() == Role::ServiceRole {
        return Ok(());
    }
    let Subject { role, user } = Subject::from(context);
    let (bucket, limit) = (at.bucket.as_str(), i64::from(most));
    let values: [&(dyn ToSql + Sync); 4] = [&bucket, &role, &user, &limit];
    let answers = session.run(&[Step::Run(UNFINISHED, &values)]).await?;
    match answers.first().and_then(|answer| answer.rows.first()) {
        Some(row) if count(row, 0)? >= u64::from(most) => {
            Err(StorageError::TooManyUploads { limit: most }.into())
        }
        _ => Ok(()),
    }
}

fn begun(access: &Access, new: &NewMultipart, replaces: bool, now: crate::Timestamp) -> MultipartUpload {
    MultipartUpload {
        at: new.at.clone(),
        role: access.context().role(),
        owner_id: access.context().user_id(),
        replaces,
        nonce: new.nonce,
        attributes: new.attributes.clone(),
        checksum: new.checksum,
        held_bytes: 0,
        resumable: new.resumable.as_ref().map(|new| Resumable {
            length: new.length,
            offset: 0,
            epoch: 1,
            is_partial: new.is_partial,
            told: new.told.clone(),
            completed_at: None,
        }),
        created_at: now,
        expires_at: new.expires_at,
    }
}
