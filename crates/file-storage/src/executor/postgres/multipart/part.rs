//! Parts: stored, in place of the one of the same number.

use std::sync::Arc;

use tokio_postgres::types::{Json, ToSql};

use super::find::hold;
use crate::Timestamp;
use crate::errors::StorageError;
use crate::executor::displaced::{About, Displaced};
use crate::executor::postgres::decide::{LOCK, blob_place};
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::queue;
use crate::executor::postgres::rls::Caller;
use crate::executor::postgres::rows::{int, now};
use crate::executor::postgres::session::{Session, Step};
use crate::file::Place;
use crate::multipart::{MultipartUpload, NewPart, Part, UploadAt};
use crate::permissions::Access;

pub(super) const DISCARD: &str = "SELECT {inner}.discard_parts($1, $2)";

pub(super) const COUNT: &str = "SELECT {inner}.count_unfinished($1, $2)";

pub(super) const EXTEND: &str =
    "UPDATE {schema}.multipart_uploads SET expires_at = greatest(expires_at, $2) WHERE id = $1";

const ADD: &str = "INSERT INTO {schema}.multipart_parts (upload_id, number, size, sha256, etag, checksums, provider, \
     blob_key, bytes, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

/// Makes a part known. What was under its number before goes.
pub(in crate::executor::postgres) async fn put(
    pool: &Arc<Pool>,
    access: &Access,
    at: &UploadAt,
    number: u32,
    part: &NewPart,
    expires_at: Timestamp,
) -> Result<Part, Fault> {
    let mut session = Session::start(pool, "put_part").await?;
    await_blob(&mut session, part).await?;
    let upload = hold(&mut session, access, at).await?;
    if upload.resumable.is_some() {
        return Err(StorageError::UploadNotFound { upload: at.id }.into());
    }
    let now = now();
    change(&mut session, (access, &upload), &[number], (number, part), now, expires_at).await?;
    let NewPart { size, sha256, etag, checksums, .. } = part.clone();
    Ok(Part { number, size, sha256, etag, checksums, created_at: now })
}

/// Holds the blob's lock from before anything is decided until the transaction's end: who asks whether the blob is known
/// waits for that.
pub(super) async fn await_blob(session: &mut Session, part: &NewPart) -> Result<(), Fault> {
    if let Place::Blob { key, .. } = &part.place {
        let places = vec![blob_place(key)];
        session.run(&[Step::As(&Caller::keeper()), Step::Run(LOCK, &[&places])]).await?;
    }
    Ok(())
}

/// Takes some parts away and puts one in their place, with where it belongs, and commits.
pub(super) async fn change(
    session: &mut Session,
    (access, upload): (&Access, &MultipartUpload),
    gone: &[u32],
    (number, part): (u32, &NewPart),
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), Fault> {
    let at = &upload.at;
    let gone: Vec<i32> = gone.iter().map(|number| int4(*number)).collect();
    let (provider, key, bytes) = match &part.place {
        Place::Inline(bytes) => (None, None, Some(bytes.as_ref())),
        Place::Blob { provider, key } => (Some(provider.as_ref()), Some(key.as_str()), None),
    };
    let (number, size, sha256) = (int4(number), int(part.size), part.sha256.to_hex());
    let checksums = Json(&part.checksums);
    let values: [&(dyn ToSql + Sync); 10] =
        [&at.id, &number, &size, &sha256, &part.etag, &checksums, &provider, &key, &bytes, &now];
    let displaced = Displaced::of(part.belongs.as_ref(), &part.place, part.size);
    let entry = queue::Columns::of(About::upload(access, upload), displaced.into_iter());
    let entry = entry.as_ref().map(queue::Columns::values);
    let (keeper, gone) = (Caller::keeper(), [&at.id as _, &gone as _]);
    let (count, extend) = ([&at.id as _, &size as _], [&at.id as _, &expires_at as _]);
    let mut steps = vec![Step::As(&keeper), Step::Run(DISCARD, &gone), Step::Run(ADD, &values)];
    steps.extend(entry.as_ref().map(|values| Step::Run(queue::ADD, values)));
    steps.extend([Step::Run(COUNT, &count), Step::Run(EXTEND, &extend), Step::Commit]);
    session.run(&steps).await.map(drop)
}

/// A part's number as the database has it.
pub(super) fn int4(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
