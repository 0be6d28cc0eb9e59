//! Making an object of an upload: its parts become the object's segments, in the transaction that makes it visible.

use std::sync::Arc;

use uuid::Uuid;

use super::discard::DISCARD;
use super::find::{hold, pieces};
use super::part::{self, int4};
use crate::executor::Written;
use crate::executor::assembly::{self, Assembled, Piece};
use crate::executor::postgres::decide::{LOCK, place};
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::put::{self, Along, Linked};
use crate::executor::postgres::rls::Caller;
use crate::executor::postgres::rows::int;
use crate::executor::postgres::session::{Session, Step};
use crate::file::{NewObject, ObjectAttributes};
use crate::multipart::{Chosen, Completion, MultipartUpload, UploadAt};
use crate::permissions::{Access, Permission};

const COMPLETED: &str =
    "UPDATE {schema}.resumable_uploads SET length = $2, completed_at = now() WHERE upload_id = $1";

const ENDED: &str = "UPDATE {schema}.multipart_uploads SET ended = true WHERE id = $1";

const BUCKET: &str = "SELECT uuid FROM {schema}.storage_buckets WHERE id = $1";

/// Completes an upload.
pub(in crate::executor::postgres) async fn complete(
    pool: &Arc<Pool>,
    access: &Access,
    at: &UploadAt,
    completion: &Completion,
) -> Result<Written, Fault> {
    access.on_object(Permission::UploadContinue, &at.bucket, &at.path)?;
    let mut session = Session::start(pool, "complete_multipart").await?;
    // Writers of one path take turns, in the order in which a plain write does: the path before any row.
    let places = vec![place(&at.bucket, &at.path)];
    session.run(&[Step::As(&Caller::keeper()), Step::Run(LOCK, &[&places])]).await?;
    let upload = hold(&mut session, access, at).await?;
    let (assembled, sources, segments) =
        assemble(&mut session, access, &upload, &completion.parts, completion.min_part_size).await?;
    let answers = session.run(&[Step::Run(BUCKET, &[&at.bucket.as_str()])]).await?;
    let bucket_uuid: Uuid = match answers.first().and_then(|answer| answer.rows.first()) {
        Some(row) => row.try_get(0)?,
        None => Uuid::nil(),
    };
    let size = assembled.size;
    assembly::check_size(size, completion.max_size)?;
    let object = NewObject {
        bucket_uuid,
        bucket: at.bucket.clone(),
        path: at.path.clone(),
        attributes: ObjectAttributes { extra: completion.extra.clone(), ..upload.attributes.clone() },
        size,
        checksum: assembled.checksum,
        etag: assembled.etag,
        version: completion.version,
        segments: Vec::new(),
        copies: completion.copies.clone(),
    };
    let (ids, size) = (sources.clone(), int(size));
    let of_end: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&at.id, &size];
    let mut after = Vec::new();
    for source in ids.iter().filter(|source| **source != at.id) {
        after.push((DISCARD, vec![source as &(dyn tokio_postgres::types::ToSql + Sync)]));
    }
    match upload.resumable {
        None => after.push((DISCARD, vec![&at.id])),
        Some(_) => {
            after.push((COMPLETED, of_end.to_vec()));
            after.push((ENDED, vec![&at.id]));
        }
    }
    let linked = Some(Linked { uploads: &sources, segments, owner: upload.owner_id, after: &after });
    let along = Along { linked, ..Along::default() };
    put::put_within(pool, session, access, &object, &completion.mode, &along).await
}

/// What the chosen parts make, the uploads that they are of, and how many they are. What they count for is given back, before the object counts:
/// a quota has room for one of the two.
async fn assemble(
    session: &mut Session,
    access: &Access,
    upload: &MultipartUpload,
    chosen: &Chosen,
    min_part_size: u64,
) -> Result<(Assembled, Vec<Uuid>, usize), Fault> {
    let at = &upload.at;
    let (assembled, sources) = match chosen {
        Chosen::Listed(listed) => {
            let mut found = pieces(session, at).await?;
            let left_out = assembly::choose(&mut found, listed, min_part_size)?;
            if !left_out.is_empty() {
                let numbers: Vec<i32> = left_out.into_iter().map(int4).collect();
                session.run(&[Step::Run(part::DISCARD, &[&at.id, &numbers])]).await?;
            }
            (assembly::of_parts(&found), vec![(at.id, found)])
        }
        Chosen::Appended { epoch } => {
            assembly::check_end(upload, *epoch)?;
            let found = pieces(session, at).await?;
            (assembly::of_run(&found), vec![(at.id, found)])
        }
        Chosen::Concatenated(others) => {
            // Every transaction locks uploads in the same order.
            let mut held: Vec<&UploadAt> = others.iter().collect();
            held.sort_unstable_by_key(|other| other.id);
            for other in held {
                let source = hold(session, access, other).await?;
                assembly::check_partial(upload, &source)?;
            }
            let mut sources = Vec::with_capacity(others.len());
            for other in others {
                sources.push((other.id, pieces(session, other).await?));
            }
            let all: Vec<Piece> = sources.iter().flat_map(|(_, pieces)| pieces).cloned().collect();
            (assembly::of_run(&all), sources)
        }
    };
    for (source, pieces) in &sources {
        let bytes = pieces.iter().fold(0_u64, |bytes, piece| bytes.saturating_add(piece.size));
        let freed = int(bytes).saturating_neg();
        session.run(&[Step::Run(part::COUNT, &[source, &freed])]).await?;
    }
    let segments = sources.iter().map(|(_, pieces)| pieces.len()).sum();
    Ok((assembled, sources.into_iter().map(|(source, _)| source).collect(), segments))
}
