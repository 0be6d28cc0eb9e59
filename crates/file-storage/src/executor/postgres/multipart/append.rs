//! Uploads that are appended to: taken over, added to at their end, and nowhere else.

use std::sync::Arc;

use bytes::Bytes;
use tokio_postgres::types::ToSql;

use super::find::{any, hold};
use super::part::{EXTEND, await_blob, change};
use crate::Timestamp;
use crate::executor::assembly::{check_append, check_length};
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::rows::{count, digest, int, now};
use crate::executor::postgres::session::{Session, Step};
use crate::file::{Place, Segment};
use crate::multipart::{Append, Claimed, MultipartUpload, UploadAt};
use crate::permissions::Access;

const CLAIM: &str = "UPDATE {schema}.resumable_uploads SET epoch = epoch + 1 WHERE upload_id = $1";

/// The last parts, as far back as they are inline: the number of the last blob, where there is one, is below theirs.
const TAIL: &str = "SELECT size, sha256, bytes FROM {schema}.multipart_parts WHERE upload_id = $1 \
     AND number > coalesce((SELECT max(number) FROM {schema}.multipart_parts \
         WHERE upload_id = $1 AND blob_key IS NOT NULL), 0) ORDER BY number DESC";

const LENGTH: &str = "UPDATE {schema}.resumable_uploads SET length = $2 WHERE upload_id = $1";

const LAST: &str = "SELECT coalesce(max(number), 0) FROM {schema}.multipart_parts WHERE upload_id = $1";

/// Takes an upload over: whoever had it before appends nothing any more.
pub(in crate::executor::postgres) async fn claim(
    pool: &Arc<Pool>,
    access: &Access,
    at: &UploadAt,
    expires_at: Timestamp,
) -> Result<Claimed, Fault> {
    let mut session = Session::start(pool, "claim_resumable").await?;
    let mut upload = hold(&mut session, access, at).await?;
    // One that ended keeps its time.
    let expires_at = match upload.resumable()?.completed_at {
        None => upload.expires_at.max(expires_at),
        Some(_) => upload.expires_at,
    };
    let times: [&(dyn ToSql + Sync); 2] = [&at.id, &expires_at];
    let steps =
        [Step::Run(EXTEND, &times), Step::Run(CLAIM, &[&at.id]), Step::Run(TAIL, &[&at.id]), Step::Commit];
    let answers = session.run(&steps).await?;
    upload.expires_at = expires_at;
    if let Some(resumable) = &mut upload.resumable {
        resumable.epoch = resumable.epoch.saturating_add(1);
    }
    let (mut tail, mut end) = (Vec::new(), upload.held_bytes);
    for row in answers.get(2).map_or(&[][..], |answer| &answer.rows) {
        let size = count(row, 0)?;
        end = end.saturating_sub(size);
        let place = Place::Inline(Bytes::from(row.try_get::<_, Vec<u8>>(2)?));
        tail.push(Segment { offset: end, size, sha256: digest(row, 1)?, place, belongs: None });
    }
    tail.reverse();
    Ok(Claimed { upload, tail })
}

/// Says how long an upload will be, where that was left open.
pub(in crate::executor::postgres) async fn announce_length(
    pool: &Arc<Pool>,
    access: &Access,
    at: &UploadAt,
    length: u64,
) -> Result<(), Fault> {
    let mut session = Session::start(pool, "announce_length").await?;
    let upload = hold(&mut session, access, at).await?;
    check_length(upload.resumable()?, length)?;
    session.run(&[Step::Run(LENGTH, &[&at.id, &int(length)]), Step::Commit]).await.map(drop)
}

/// Appends a run of bytes, with those of the parts that it takes in.
pub(in crate::executor::postgres) async fn append(
    pool: &Arc<Pool>,
    access: &Access,
    at: &UploadAt,
    run: &Append,
    expires_at: Timestamp,
) -> Result<MultipartUpload, Fault> {
    let mut session = Session::start(pool, "append").await?;
    await_blob(&mut session, &run.part).await?;
    // What came in time is taken, however long it took.
    let mut upload = any(&mut session, access, at).await?;
    check_append(&upload, run)?;
    let answers = session.run(&[Step::Run(LAST, &[&at.id])]).await?;
    let last: i32 = match answers.first().and_then(|answer| answer.rows.first()) {
        Some(row) => row.try_get(0)?,
        None => 0,
    };
    let last = u32::try_from(last).map_err(|_| Fault::corrupt("number of a part"))?;
    let kept = last.saturating_sub(run.takes_in);
    let gone: Vec<u32> = (kept.saturating_add(1)..=last).collect();
    change(&mut session, (access, &upload), &gone, (kept.saturating_add(1), &run.part), now(), expires_at)
        .await?;
    upload.held_bytes = run.offset.saturating_add(run.part.size);
    upload.expires_at = upload.expires_at.max(expires_at);
    if let Some(resumable) = &mut upload.resumable {
        resumable.offset = upload.held_bytes;
    }
    Ok(upload)
}
