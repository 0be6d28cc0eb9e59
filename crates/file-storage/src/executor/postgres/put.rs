//! Making an object visible whose bytes are stored: created, or in place of another. Two round trips: what is there,
//! as the keeper sees it, and the write, as the caller.

use std::sync::Arc;

use tokio_postgres::types::{Json, ToSql};
use uuid::Uuid;

use super::decide::{LOCK, TARGET_TO_WRITE, began, blob_place, place, version, write};
use super::errors::Fault;
use super::pool::Pool;
use super::queue;
use super::rls::{Caller, Subject, refused};
use super::rows::{int, now};
use super::session::{Session, Step};
use crate::Timestamp;
use crate::errors::{DenialReason, StorageError};
use crate::executor::displaced::{About, Displaced};
use crate::executor::proposal::Proposed;
use crate::executor::{Written, decide};
use crate::extra::ObjectExtra;
use crate::file::{NewObject, Place, PutMode, Segment, StorageObject};
use crate::permissions::policy::Candidate;
use crate::permissions::{Access, Permission};
use crate::versions::Versioning;

/// Makes a row.
pub(super) const CREATE: &str = "INSERT INTO {schema}.storage_objects (bucket_id, path, size, content_type, cache_control, \
     checksum, etag, metadata, version, updated_at, extra, versioned, id, owner_id, created_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";

const OVERWRITE: &str = "UPDATE {schema}.storage_objects SET size = $3, content_type = $4, cache_control = $5, \
     checksum = $6, etag = $7, metadata = $8, version = $9, updated_at = $10, extra = $11, \
     versioned = $12 WHERE bucket_id = $1 AND path = $2 AND version = $13";

const LINK: &str = "INSERT INTO {schema}.storage_segments \
     (version, ordinal, \"offset\", size, sha256, provider, blob_key, bytes) \
     SELECT $1, s.number - 1, s.\"offset\", s.size, s.sha256, s.provider, s.blob_key, s.bytes \
     FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bytea[]) \
     WITH ORDINALITY AS s (\"offset\", size, sha256, provider, blob_key, bytes, number)";

/// Makes room for the null version at a path, as the caller: what he may not delete, triggers keep.
pub(super) const LET_NULL_GO: &str = "SELECT {schema}.let_null_go($1, $2)";

/// Takes an object away that was copied to where it moves.
const LEAVE: &str =
    "DELETE FROM {schema}.storage_objects WHERE bucket_id = $1 AND path = $2 AND version = $3";

const LINK_PARTS: &str = "SELECT {inner}.link_parts($1, $2)";

/// What else a write does. By default, nothing.
#[derive(Default)]
pub(super) struct Along<'a> {
    /// Parts that become the segments of the object.
    pub(super) linked: Option<Linked<'a>>,
    /// What the caller takes away in the same transaction: bucket, path and version.
    pub(super) leaves: Option<(&'a str, &'a str, Uuid)>,
    /// The transaction goes on, and commits later.
    pub(super) goes_on: bool,
}

/// Parts that become the segments of an object.
pub(super) struct Linked<'a> {
    /// The uploads that they are of, in their order.
    pub(super) uploads: &'a [Uuid],
    /// How many segments they become, at most.
    pub(super) segments: usize,
    /// Whose object it is, where it is new: who began the upload, whoever completes it.
    pub(super) owner: Option<Uuid>,
    /// What else the keeper does in the transaction.
    pub(super) after: &'a [(&'static str, Vec<&'a (dyn ToSql + Sync)>)],
}

/// Writes an object.
pub(super) async fn put(
    pool: &Arc<Pool>,
    access: &Access,
    new: &NewObject,
    mode: &PutMode,
) -> Result<Written, Fault> {
    let session = Session::start(pool, "put_object").await?;
    put_within(pool, session, access, new, mode, &Along::default()).await
}

/// Writes an object in a transaction that has begun, perhaps of parts that are known already, and commits.
pub(super) async fn put_within(
    pool: &Arc<Pool>,
    mut session: Session,
    access: &Access,
    new: &NewObject,
    mode: &PutMode,
    along: &Along<'_>,
) -> Result<Written, Fault> {
    match put_on(pool, &mut session, access, new, mode, along).await {
        Ok(written) => Ok(written),
        Err(Failed { fault, asked: None }) => Err(fault),
        Err(Failed { fault, asked: Some(permission) }) => {
            // The connection is needed for the log.
            drop(session);
            Err(refused(fault, pool, access.context(), permission, &new.bucket).await)
        }
    }
}

/// Why an object was not written.
pub(super) struct Failed {
    pub(super) fault: Fault,
    /// What policies were asked for, which may be what failed.
    pub(super) asked: Option<Permission>,
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self { fault, asked: None }
    }
}

impl From<StorageError> for Failed {
    fn from(error: StorageError) -> Self {
        Self { fault: error.into(), asked: None }
    }
}

/// Writes an object in a transaction that has begun.
pub(super) async fn put_on(
    pool: &Arc<Pool>,
    session: &mut Session,
    access: &Access,
    new: &NewObject,
    mode: &PutMode,
    along: &Along<'_>,
) -> Result<Written, Failed> {
    let (bucket, path) = (&new.bucket, &new.path);
    let context = access.on_object(decide::first_permission(mode), bucket, path)?;
    let mut places = vec![place(bucket, path)];
    places.extend(new.segments.iter().filter_map(Segment::blob_key).map(blob_place));
    let Subject { role, user } = Subject::from(context);
    let at = [&role as _, &user as _, &bucket.as_str() as _, &path.as_str() as _];
    let (keeper, places) = (Caller::keeper_by_keys(), [&places as _]);
    let look = [Step::As(&keeper), Step::Run(LOCK, &places), Step::Run(&TARGET_TO_WRITE, &at)];
    let found = session.run(&look).await?;
    let row = found.last().and_then(|answer| answer.rows.first());
    // One time for the whole transaction, also for what policies ask of the row.
    let (rules, now) = match row {
        Some(row) => (pool.rules().within(session, version(row)?).await?, began(row)?),
        None => (Arc::default(), now()),
    };
    let id = Uuid::now_v7();
    let candidate = Candidate::stored(new, id, now);
    let target = write(row, &rules, access, (bucket, path), mode, Proposed::Own(&candidate))?;
    if target.bucket.uuid != new.bucket_uuid {
        return Err(StorageError::BucketNotFound { bucket: bucket.clone() }.into());
    }

    let existing = target.existing.as_ref();
    let versioning = target.bucket.config.versioning;
    let owner = along.linked.as_ref().map_or(context.user_id(), |linked| linked.owner);
    let object = written(owner, new, existing, (id, now)).within(versioning);
    let replacing = Replacing { version: existing.map(|old| old.version), versioning };
    let about = About { user: context.user_id(), bucket, path, content_type: &new.attributes.content_type };
    let displaced = new
        .segments
        .iter()
        .filter_map(|segment| Displaced::of(segment.belongs.as_ref(), &segment.place, segment.size));
    let entries = queue::Columns::of(about, displaced);
    let segments = along.linked.as_ref().map_or(new.segments.len(), |linked| linked.segments);
    let copies = queue::CopyColumns::of(about, &new.copies, segments);
    let writing = Writing { new, entries: entries.as_ref(), copies: copies.as_ref(), along };
    let stored = store(session, &Caller::of(context), &object, replacing, writing).await;
    let created = existing.is_none();
    let permission = if created { Permission::ObjectCreate } else { Permission::ObjectOverwrite };
    match stored {
        Ok(()) => Ok(Written { object, created, queued: Segment::deferred(&new.segments) }),
        Err(fault) if fault.is_denial() => {
            let reason = if created { DenialReason::BucketPolicy } else { DenialReason::NotOwner };
            Err(decide::refusal(context, permission, bucket, reason).into())
        }
        // Somebody made the row, or took it away, who does not take turns with writers.
        Err(fault) if fault.is_taken() => Err(Fault::Overtaken.into()),
        Err(fault) if rules.speak_of(context) => Err(Failed { fault, asked: Some(permission) }),
        Err(fault) => Err(fault.into()),
    }
}

/// The object as it is once it is written.
pub(super) fn written(
    owner: Option<Uuid>,
    new: &NewObject,
    existing: Option<&StorageObject>,
    (id, now): (Uuid, Timestamp),
) -> StorageObject {
    StorageObject {
        id: existing.map_or(id, |old| old.id),
        bucket: new.bucket.clone(),
        path: new.path.clone(),
        size: new.size,
        content_type: new.attributes.content_type.clone(),
        cache_control: new.attributes.cache_control.clone(),
        checksum: new.checksum,
        etag: new.etag.clone(),
        owner_id: match existing {
            Some(old) => old.owner_id,
            None => owner,
        },
        metadata: new.attributes.metadata.clone(),
        extra: new.attributes.extra.clone(),
        version: new.version,
        versioned: false,
        created_at: existing.map_or(now, |old| old.created_at),
        updated_at: now,
    }
}

/// What S3 keeps beside a row; NULL where that is nothing.
pub(super) fn extra(extra: &ObjectExtra) -> Option<Json<&ObjectExtra>> {
    (!extra.is_empty()).then_some(Json(extra))
}

/// What a write meets.
#[derive(Clone, Copy)]
struct Replacing {
    /// The version that is there.
    version: Option<Uuid>,
    /// What the bucket keeps.
    versioning: Versioning,
}

/// What is written beside the row.
#[derive(Clone, Copy)]
struct Writing<'a> {
    /// The object's segments.
    new: &'a NewObject,
    /// What of them is to be elsewhere.
    entries: Option<&'a queue::Columns<'a>>,
    /// Copies of them that are to be made.
    copies: Option<&'a queue::CopyColumns<'a>>,
    /// What else is done.
    along: &'a Along<'a>,
}

/// Writes the row as the caller, under the policies of the table, and its segments as the keeper.
async fn store(
    session: &mut Session,
    caller: &Caller,
    object: &StorageObject,
    replacing: Replacing,
    Writing { new, entries, copies, along }: Writing<'_>,
) -> Result<(), Fault> {
    let (size, checksum, metadata) =
        (int(object.size), object.checksum.map(|checksum| checksum.to_hex()), Json(&object.metadata));
    let (bucket, path) = (object.bucket.as_str(), object.path.as_str());
    let extra = extra(&object.extra);
    let mut row: Vec<&(dyn ToSql + Sync)> = vec![
        &bucket,
        &path,
        &size,
        &object.content_type,
        &object.cache_control,
        &checksum,
        &object.etag,
        &metadata,
        &object.version,
        &object.updated_at,
        &extra,
        &object.versioned,
    ];
    let sql = match &replacing.version {
        Some(version) => {
            row.push(version);
            OVERWRITE
        }
        None => {
            let new: [&(dyn ToSql + Sync); 3] = [&object.id, &object.owner_id, &object.created_at];
            row.extend(new);
            CREATE
        }
    };
    let segments = Columns::of(&new.segments);
    let links = [
        &object.version as _,
        &segments.offsets as _,
        &segments.sizes as _,
        &segments.digests as _,
        &segments.providers as _,
        &segments.keys as _,
        &segments.bytes as _,
    ];
    let keeper = Caller::keeper();
    let mut steps = Vec::new();
    let forgets = replacing.versioning == Versioning::Suspended;
    let at: [&(dyn ToSql + Sync); 2] = [&bucket, &path];
    steps.push(Step::As(caller));
    if forgets {
        steps.push(Step::Run(LET_NULL_GO, &at));
    }
    steps.push(Step::Run(sql, &row));
    if !new.segments.is_empty() {
        steps.extend([Step::As(&keeper), Step::Run(LINK, &links)]);
    }
    let entries = entries.map(queue::Columns::values);
    if let Some(values) = &entries {
        steps.extend([Step::As(&keeper), Step::Run(queue::ADD, values)]);
    }
    let parts = along.linked.as_ref().map(|linked| linked.uploads);
    let of_parts: [&(dyn ToSql + Sync); 2] = [&object.version, &parts];
    if let Some(linked) = &along.linked {
        steps.extend([Step::As(&keeper), Step::Run(LINK_PARTS, &of_parts)]);
        steps.extend(linked.after.iter().map(|(sql, values)| Step::Run(sql, values)));
    }
    // Of all segments, also those that were parts before.
    let copies = copies.map(|copies| copies.values(&object.version));
    if let Some(values) = &copies {
        steps.extend([Step::As(&keeper), Step::Run(queue::ADD_COPIES, values)]);
    }
    if along.leaves.is_none() && !along.goes_on {
        steps.push(Step::Commit);
    }
    let answers = session.run(&steps).await;
    // An overwrite that met no row has committed nothing: segments without a row are refused at the end.
    match answers {
        Ok(answers) if answers.get(usize::from(forgets)).is_some_and(|answer| answer.affected == 1) => {
            match along.leaves {
                Some(left) => leave(session, caller, left).await,
                None => Ok(()),
            }
        }
        Ok(_) => Err(Fault::Overtaken),
        Err(fault) if fault.breaks_reference() => Err(Fault::Overtaken),
        Err(fault) => Err(fault),
    }
}

/// Takes away what was moved, as the caller, and commits.
async fn leave(
    session: &mut Session,
    caller: &Caller,
    (bucket, path, version): (&str, &str, Uuid),
) -> Result<(), Fault> {
    let values = [&bucket as _, &path as _, &version as _];
    let gone = session.run(&[Step::As(caller), Step::Run(LEAVE, &values)]).await?;
    if gone.first().is_none_or(|answer| answer.affected != 1) {
        return Err(Fault::Overtaken);
    }
    session.run(&[Step::Commit]).await.map(drop)
}

/// Segments, column by column.
#[derive(Default)]
struct Columns<'a> {
    offsets: Vec<i64>,
    sizes: Vec<i64>,
    digests: Vec<String>,
    providers: Vec<Option<&'a str>>,
    keys: Vec<Option<&'a str>>,
    bytes: Vec<Option<&'a [u8]>>,
}

impl<'a> Columns<'a> {
    fn of(segments: &'a [Segment]) -> Self {
        let mut columns = Self::default();
        for segment in segments {
            columns.offsets.push(int(segment.offset));
            columns.sizes.push(int(segment.size));
            columns.digests.push(segment.sha256.to_hex());
            let (provider, key, bytes) = match &segment.place {
                Place::Inline(bytes) => (None, None, Some(bytes.as_ref())),
                Place::Blob { provider, key } => (Some(provider.as_ref()), Some(key.as_str()), None),
            };
            columns.providers.push(provider);
            columns.keys.push(key);
            columns.bytes.push(bytes);
        }
        columns
    }
}
