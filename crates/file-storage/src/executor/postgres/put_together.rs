//! Making many objects visible by one statement of a kind, for all that a look ahead lets in. What the database says no to, where the look
//! did not, it says of all of them: then nothing was written, and who asked finds out which one it is.

use std::sync::Arc;

use tokio_postgres::types::{Json, ToSql};
use uuid::Uuid;

use super::decide::{BY_HAND, LOCK, LOCK_ROWS, TARGETS_TO_WRITE, began, version, write};
use super::errors::Fault;
use super::pool::Pool;
use super::put::{Failed, extra, written};
use super::queue;
use super::rls::{Caller, Subject};
use super::rows::int;
use super::session::{Session, Step};
use crate::Timestamp;
use crate::errors::StorageError;
use crate::executor::Written;
use crate::executor::displaced::{About, Displaced};
use crate::executor::proposal::Proposed;
use crate::file::{NewObject, Place, PutMode, Segment, StorageObject};
use crate::permissions::Access;
use crate::permissions::policy::Candidate;
use crate::versions::Versioning;

/// Makes rows: bucket, time, whether they are versions, owner; and what each row says.
const CREATE: &str = "INSERT INTO {schema}.storage_objects (bucket_id, updated_at, versioned, owner_id, created_at, \
     path, size, content_type, cache_control, checksum, etag, metadata, version, extra, id) \
     SELECT $1::text, $2::timestamptz, $3::boolean, $4::uuid, $2::timestamptz, new.* \
     FROM unnest($5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[], $11::jsonb[], \
     $12::uuid[], $13::jsonb[], $14::uuid[]) new";

/// Replaces rows, each of which must still be the version that was seen. Each is looked up by its key, and then by where it lies, as by
/// other conditions the planner may go through all objects of a bucket. So those that say that it still is that version, whoever has
/// changed it meanwhile, are such as it can't look anything up by; a row that is another one now is missing among those that were changed.
pub(super) const OVERWRITE: &str = "UPDATE {schema}.storage_objects o SET size = new.size, content_type = new.content_type, \
     cache_control = new.cache_control, checksum = new.checksum, etag = new.etag, metadata = new.metadata, \
     version = new.version, updated_at = $2::timestamptz, extra = new.extra, versioned = $3::boolean \
     FROM (SELECT new.*, there.at \
        FROM unnest($4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], $10::jsonb[], \
        $11::uuid[], $12::jsonb[], $13::uuid[]) \
        AS new (path, size, content_type, cache_control, checksum, etag, metadata, version, extra, replaced), \
        LATERAL (SELECT old.ctid AS at FROM {schema}.storage_objects old WHERE old.bucket_id = $1::text \
            AND old.path = new.path AND old.version = new.replaced LIMIT 1) there) new \
     WHERE o.ctid = new.at AND o.bucket_id IS NOT DISTINCT FROM $1::text \
     AND o.path IS NOT DISTINCT FROM new.path AND o.version IS NOT DISTINCT FROM new.replaced";

const LINK: &str = "INSERT INTO {schema}.storage_segments \
     (version, ordinal, \"offset\", size, sha256, provider, blob_key, bytes) \
     SELECT * FROM unnest($1::uuid[], $2::integer[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], \
     $7::text[], $8::bytea[])";

const TRY: Step<'static> = Step::Once("SAVEPOINT together");
const UNDO: Step<'static> = Step::Once("ROLLBACK TO SAVEPOINT together");
const KEEP: Step<'static> = Step::Once("RELEASE SAVEPOINT together");

/// What became of each object, in their order.
pub(super) type Outcomes = Vec<Result<Written, Failed>>;

/// Writes objects of one bucket that stand there once, in a transaction that has begun, when it holds these places and the rows at these paths. `None` where they have to
/// be written one after the other: the database refuses them together, policies that were made by hand may look at what was
/// written before, or a null version has to go at each path.
pub(super) async fn put_together(
    pool: &Arc<Pool>,
    session: &mut Session,
    access: &Access,
    objects: &[NewObject],
    mode: &PutMode,
    (places, in_order): (&[i64], &[&str]),
) -> Result<Option<Outcomes>, Fault> {
    let Some(first) = objects.first() else { return Ok(None) };
    let context = access.context();
    let Subject { role, user } = Subject::from(context);
    let paths: Vec<&str> = objects.iter().map(|new| new.path.as_str()).collect();
    let at = [&role as _, &user as _, &first.bucket.as_str() as _, &paths as _];
    let (keeper, places) = (Caller::keeper_by_keys(), [&places as _]);
    let rows = [&first.bucket.as_str() as _, &in_order as _];
    let look = [
        Step::As(&keeper),
        Step::Run(LOCK, &places),
        Step::Run(LOCK_ROWS, &rows),
        Step::Run(&TARGETS_TO_WRITE, &at),
    ];
    let found = session.run(&look).await?;
    let rows = found.last().map_or(&[][..], |answer| &answer.rows);
    // Where there is no bucket, each is told so.
    let Some(row) = rows.first() else { return Ok(None) };
    if row.try_get(BY_HAND)? {
        return Ok(None);
    }
    let (rules, now) = (pool.rules().within(session, version(row)?).await?, began(row)?);
    let mut decided = Decided { now, ..Decided::default() };
    for (number, new) in objects.iter().enumerate() {
        let id = Uuid::now_v7();
        let candidate = Candidate::stored(new, id, now);
        let at = (&new.bucket, &new.path);
        let target = write(rows.get(number), &rules, access, at, mode, Proposed::Own(&candidate));
        let target = target.and_then(|target| match target.bucket.uuid == new.bucket_uuid {
            true => Ok(target),
            false => Err(StorageError::BucketNotFound { bucket: new.bucket.clone() }.into()),
        });
        match target {
            Ok(target) => {
                decided.versioning = target.bucket.config.versioning;
                let object = written(user, new, target.existing.as_ref(), (id, now));
                let object = object.within(decided.versioning);
                let replaces = target.existing.map(|old| old.version);
                decided.writes.push(Write { number, new, object, replaces });
            }
            Err(fault) => decided.refused.push((number, fault)),
        }
    }
    if decided.versioning == Versioning::Suspended {
        return Ok(None);
    }
    match decided.store(session, &Caller::of(context), user).await {
        Ok(true) => Ok(Some(decided.outcomes())),
        Ok(false) => session.run(&[UNDO, KEEP]).await.map(|_| None),
        Err(fault) if fault.lost_a_race() || fault.breaks_connection() => Err(fault),
        Err(_) => session.run(&[UNDO, KEEP]).await.map(|_| None),
    }
}

/// What was decided of objects that are written together.
#[derive(Default)]
struct Decided<'a> {
    now: Timestamp,
    versioning: Versioning,
    writes: Vec<Write<'a>>,
    refused: Vec<(usize, Fault)>,
}

/// An object that is let in.
struct Write<'a> {
    /// Its place among those that were asked for.
    number: usize,
    new: &'a NewObject,
    /// As it is once it is written.
    object: StorageObject,
    /// The version that is there.
    replaces: Option<Uuid>,
}

impl Decided<'_> {
    /// Writes rows as the caller, under the policies of the table, and their segments as the keeper; `false` where a row was not as it was
    /// seen.
    async fn store(
        &self,
        session: &mut Session,
        caller: &Caller,
        owner: Option<Uuid>,
    ) -> Result<bool, Fault> {
        let keeper = Caller::keeper();
        let (overwrites, creates): (Vec<&Write<'_>>, Vec<&Write<'_>>) =
            self.writes.iter().partition(|write| write.replaces.is_some());
        let Some(first) = self.writes.first() else { return Ok(true) };
        let (bucket, versioned) = (first.object.bucket.as_str(), first.object.versioned);
        let (made, replaced) = (Rows::of(&creates), Rows::of(&overwrites));
        let of_all: [&(dyn ToSql + Sync); 3] = [&bucket, &self.now, &versioned];
        let mut creating = of_all.to_vec();
        creating.push(&owner);
        creating.extend(made.values());
        creating.push(&made.ids);
        let mut overwriting = of_all.to_vec();
        overwriting.extend(replaced.values());
        overwriting.push(&replaced.replaced);
        let segments = Segments::of(&self.writes);
        let links = segments.values();

        let mut steps = vec![TRY, Step::As(caller)];
        if !creates.is_empty() {
            steps.push(Step::Run(CREATE, &creating));
        }
        if !overwrites.is_empty() {
            steps.push(Step::Run(OVERWRITE, &overwriting));
        }
        steps.push(Step::As(&keeper));
        if !segments.versions.is_empty() {
            steps.push(Step::Run(LINK, &links));
        }
        let queued: Vec<_> = self.writes.iter().filter_map(|write| write.entries(owner)).collect();
        let queued: Vec<_> = queued.iter().map(queue::Columns::values).collect();
        steps.extend(queued.iter().map(|values| Step::Run(queue::ADD, values)));
        let copies: Vec<_> = self.writes.iter().filter_map(|write| write.copies(owner)).collect();
        let copies: Vec<_> = copies.iter().map(|(version, copies)| copies.values(version)).collect();
        steps.extend(copies.iter().map(|values| Step::Run(queue::ADD_COPIES, values)));
        let answers = session.run(&steps).await?;
        let rows =
            answers.iter().take(usize::from(!creates.is_empty()) + usize::from(!overwrites.is_empty()));
        Ok(rows.map(|answer| answer.affected).sum::<u64>() == self.writes.len() as u64)
    }

    fn outcomes(self) -> Outcomes {
        let mut outcomes: Vec<(usize, Result<Written, Failed>)> =
            self.refused.into_iter().map(|(number, fault)| (number, Err(fault.into()))).collect();
        outcomes.extend(self.writes.into_iter().map(|Write { number, new, object, replaces }| {
            let queued = Segment::deferred(&new.segments);
            (number, Ok(Written { object, created: replaces.is_none(), queued }))
        }));
        outcomes.sort_unstable_by_key(|(number, _)| *number);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }
}

impl Write<'_> {
    fn about(&self, user: Option<Uuid>) -> About<'_> {
        let NewObject { bucket, path, attributes, .. } = self.new;
        About { user, bucket, path, content_type: &attributes.content_type }
    }

    /// What of it is to be elsewhere.
    fn entries(&self, user: Option<Uuid>) -> Option<queue::Columns<'_>> {
        let segments = self.new.segments.iter();
        let displaced = segments
            .filter_map(|segment| Displaced::of(segment.belongs.as_ref(), &segment.place, segment.size));
        queue::Columns::of(self.about(user), displaced)
    }

    /// Copies of it that are to be made.
    fn copies(&self, user: Option<Uuid>) -> Option<(&Uuid, queue::CopyColumns<'_>)> {
        let copies = queue::CopyColumns::of(self.about(user), &self.new.copies, self.new.segments.len());
        copies.map(|copies| (&self.object.version, copies))
    }
}

/// Rows, column by column.
#[derive(Default)]
struct Rows<'a> {
    paths: Vec<&'a str>,
    sizes: Vec<i64>,
    types: Vec<&'a str>,
    cache_controls: Vec<Option<&'a str>>,
    checksums: Vec<Option<String>>,
    etags: Vec<&'a str>,
    metadata: Vec<Json<&'a serde_json::Map<String, serde_json::Value>>>,
    versions: Vec<Uuid>,
    extras: Vec<Option<Json<&'a crate::extra::ObjectExtra>>>,
    ids: Vec<Uuid>,
    replaced: Vec<Option<Uuid>>,
}

impl<'a> Rows<'a> {
    fn of(writes: &[&'a Write<'_>]) -> Self {
        let mut rows = Self::default();
        for Write { object, replaces, .. } in writes {
            rows.paths.push(object.path.as_str());
            rows.sizes.push(int(object.size));
            rows.types.push(&object.content_type);
            rows.cache_controls.push(object.cache_control.as_deref());
            rows.checksums.push(object.checksum.map(|checksum| checksum.to_hex()));
            rows.etags.push(&object.etag);
            rows.metadata.push(Json(&object.metadata));
            rows.versions.push(object.version);
            rows.extras.push(extra(&object.extra));
            rows.ids.push(object.id);
            rows.replaced.push(*replaces);
        }
        rows
    }

    /// Those that both statements have, in the order of both.
    fn values(&self) -> [&(dyn ToSql + Sync); 9] {
        [
            &self.paths,
            &self.sizes,
            &self.types,
            &self.cache_controls,
            &self.checksums,
            &self.etags,
            &self.metadata,
            &self.versions,
            &self.extras,
        ]
    }
}

/// Segments of many objects, column by column.
#[derive(Default)]
struct Segments<'a> {
    versions: Vec<Uuid>,
    ordinals: Vec<i32>,
    offsets: Vec<i64>,
    sizes: Vec<i64>,
    digests: Vec<String>,
    providers: Vec<Option<&'a str>>,
    keys: Vec<Option<&'a str>>,
    bytes: Vec<Option<&'a [u8]>>,
}

impl<'a> Segments<'a> {
    fn of(writes: &'a [Write<'_>]) -> Self {
        let mut columns = Self::default();
        for Write { new, object, .. } in writes {
            for (ordinal, segment) in (0_i32..).zip(&new.segments) {
                columns.versions.push(object.version);
                columns.ordinals.push(ordinal);
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
        }
        columns
    }

    fn values(&self) -> [&(dyn ToSql + Sync); 8] {
        [
            &self.versions,
            &self.ordinals,
            &self.offsets,
            &self.sizes,
            &self.digests,
            &self.providers,
            &self.keys,
            &self.bytes,
        ]
    }
}
