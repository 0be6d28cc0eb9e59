//! Copies as rows: made by an entry's end, found, dropped, and queued page by page for blobs that lack them.

use std::sync::Arc;

use tokio_postgres::Row;
use uuid::Uuid;

use super::entries::attempts;
use crate::executor::displaced::About;
use crate::executor::postgres::decide::{LOCK, blob_place};
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::rls::Caller;
use crate::executor::postgres::rows::{blob_key, count};
use crate::executor::postgres::session::{Session, Step, alone, read};
use crate::executor::{BlobCopy, ClaimedEntry, Copies, CopiesQueued, CopyPlan};
use crate::file::BlobKey;
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

/// Entries for the copies of a version's segments: version, bucket, name, type, path, providers, entries, attempts. They are
/// nobody's: a user's upload is done without them.
pub(in crate::executor::postgres) const ADD_COPIES: &str = "INSERT INTO {schema}.upload_queue (bucket_id, file_name, mime_type, \
     storage_path, id, file_size_bytes, blob_key, source_provider, target_provider, reason, max_attempts) \
     SELECT $2, $3, $4, $5, e.id, w.size, w.blob_key, w.provider, w.target, 'copy', $8 FROM ( \
         SELECT s.size, s.blob_key, s.provider, t.target, row_number() OVER (ORDER BY s.ordinal, t.turn) AS number \
         FROM {schema}.storage_segments s, unnest($6::text[]) WITH ORDINALITY t (target, turn) \
         WHERE s.version = $1 AND s.blob_key IS NOT NULL AND s.provider <> t.target) w \
     JOIN unnest($7::uuid[]) WITH ORDINALITY e (id, number) USING (number)";

/// Keeps the blob of an entry from going, or moving, until the transaction ends.
const HOLD: &str = "SELECT FROM {schema}.storage_segments WHERE blob_key = \
     (SELECT blob_key FROM {schema}.upload_queue WHERE id = $1) FOR SHARE";

/// A copy that is there already makes way.
const REPLACE: &str = "WITH gone AS (DELETE FROM {schema}.blob_copies c USING {schema}.upload_queue q \
         WHERE q.id = $1 AND c.blob_key = q.blob_key AND c.provider = $2 RETURNING c.copy_key, c.provider, c.size) \
     INSERT INTO {schema}.blob_deletions (blob_key, provider, size) SELECT * FROM gone ON CONFLICT DO NOTHING";

const ADD: &str = "INSERT INTO {schema}.blob_copies (copy_key, blob_key, provider, size) \
     SELECT $3, s.blob_key, $2, s.size FROM {schema}.upload_queue q \
     JOIN {schema}.storage_segments s ON s.blob_key = q.blob_key WHERE q.id = $1 AND s.provider <> $2";

const COMPLETE: &str = "UPDATE {schema}.upload_queue SET status = 'completed', completed_at = now(), error_message = NULL, \
     leased_by = NULL, leased_until = NULL WHERE id = $1 AND status = 'in_progress' AND leased_by = $3 \
     AND target_provider = $2";

const OF_BLOB: &str = "SELECT blob_key, provider, copy_key, size FROM {schema}.blob_copies WHERE blob_key = $1 \
     ORDER BY provider";

const OF_PROVIDER: &str = "SELECT blob_key, provider, copy_key, size FROM {schema}.blob_copies \
     WHERE provider = $1 AND copy_key > $2 ORDER BY copy_key LIMIT $3";

const DROP: &str = "WITH gone AS (DELETE FROM {schema}.blob_copies WHERE copy_key = $1 AND provider = $2 \
         RETURNING copy_key, provider, size) \
     INSERT INTO {schema}.blob_deletions (blob_key, provider, size) SELECT * FROM gone ON CONFLICT DO NOTHING";

/// Where a page ends, and how many blobs it has.
const BOUNDS: &str = "SELECT max(blob_key), count(*) FROM (SELECT blob_key FROM {schema}.storage_segments \
     WHERE blob_key > $1 ORDER BY blob_key LIMIT $2) page";

const DROP_ENTRIES: &str = "DELETE FROM {schema}.upload_queue WHERE id = ANY (ARRAY(SELECT id FROM {schema}.upload_queue \
     WHERE status IN ('pending', 'in_progress', 'failed') AND reason = 'copy' AND target_provider <> ALL ($1::text[]) \
     LIMIT 10000 FOR UPDATE SKIP LOCKED))";

const DROP_ENDED: &str = "WITH gone AS (DELETE FROM {schema}.blob_copies c WHERE c.blob_key > $1 AND c.blob_key <= $2 \
         AND c.provider = ANY ($3::text[]) AND EXISTS (SELECT FROM {schema}.storage_segments s \
             WHERE s.blob_key = c.blob_key AND s.provider = ANY ($4::text[])) \
         RETURNING c.copy_key, c.provider, c.size) \
     INSERT INTO {schema}.blob_deletions (blob_key, provider, size) SELECT * FROM gone ON CONFLICT DO NOTHING";

/// What copies the blobs of a page lack, with what entries say. Only those blobs are locked: nobody deletes or moves them until
/// the transaction ends. What somebody deletes or moves now is passed over, as is what is to go where a copy is lacking.
const LACKING: &str = "WITH lacking AS MATERIALIZED (SELECT s.blob_key, t.target \
         FROM {schema}.storage_segments s, unnest($3::text[]) t (target) \
         WHERE s.blob_key > $1 AND s.blob_key <= $2 AND s.provider <> t.target \
         AND NOT EXISTS (SELECT FROM {schema}.blob_copies c WHERE c.blob_key = s.blob_key AND c.provider = t.target) \
         AND NOT EXISTS (SELECT FROM {schema}.upload_queue q WHERE q.blob_key = s.blob_key AND q.status <> 'completed' \
             AND q.reason = 'copy' AND q.target_provider = t.target AND NOT (q.status = 'failed' AND $4::boolean)) \
         AND NOT EXISTS (SELECT FROM {schema}.upload_queue q WHERE q.blob_key = s.blob_key AND q.reason <> 'copy' \
             AND q.target_provider = t.target AND q.status IN ('pending', 'in_progress'))), \
     held AS MATERIALIZED (SELECT s.blob_key, s.size, s.provider, s.version FROM {schema}.storage_segments s \
         WHERE s.blob_key = ANY (ARRAY(SELECT blob_key FROM lacking)) ORDER BY s.blob_key FOR SHARE SKIP LOCKED) \
     SELECT h.blob_key, h.size, h.provider, l.target, coalesce(o.bucket_id, v.bucket_id), coalesce(o.path, v.path), \
         coalesce(o.content_type, v.content_type) FROM held h JOIN lacking l USING (blob_key) \
     LEFT JOIN {schema}.storage_objects o ON o.version = h.version \
     LEFT JOIN {schema}.storage_object_versions v ON v.version = h.version \
     WHERE h.provider <> l.target ORDER BY h.blob_key, l.target";

const QUEUE: &str = "INSERT INTO {schema}.upload_queue AS u (id, bucket_id, file_name, file_size_bytes, mime_type, \
     storage_path, blob_key, source_provider, target_provider, reason, max_attempts) \
     SELECT e.*, 'copy', $10 FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], \
     $7::text[], $8::text[], $9::text[]) e \
     ON CONFLICT (blob_key, (CASE WHEN reason = 'copy' THEN target_provider ELSE '' END)) WHERE status <> 'completed' \
     DO UPDATE SET status = 'pending', attempt_count = 0, max_attempts = excluded.max_attempts, \
     next_attempt_at = now(), queued_at = now(), completed_at = NULL WHERE u.status = 'failed' AND $11::boolean \
     RETURNING file_size_bytes";

/// Where a blob moves to, it needs no copy: key, provider.
pub(super) const DROP_WAITING: &str = "DELETE FROM {schema}.upload_queue WHERE blob_key = $1 AND status <> 'completed' \
     AND reason = 'copy' AND target_provider = $2";

pub(super) const DROP_THERE: &str = "WITH gone AS (DELETE FROM {schema}.blob_copies WHERE blob_key = $1 AND provider = $2 \
         RETURNING copy_key, provider, size) \
     INSERT INTO {schema}.blob_deletions (blob_key, provider, size) SELECT * FROM gone ON CONFLICT DO NOTHING";

/// Other entries and copies of a blob follow it: old key, provider, new key.
pub(super) const FOLLOW_WAITING: &str = "UPDATE {schema}.upload_queue SET blob_key = $3, source_provider = $2 \
     WHERE blob_key = $1 AND status <> 'completed' AND reason = 'copy'";

pub(super) const FOLLOW: &str = "UPDATE {schema}.blob_copies SET blob_key = $2 WHERE blob_key = $1";

/// Has the old blob of a segment stay as a copy of the new one: old key, its provider, new key, whether that is wanted.
pub(super) const KEEP: &str = "INSERT INTO {schema}.blob_copies (copy_key, blob_key, provider, size) \
     SELECT $1, s.blob_key, $2, s.size FROM {schema}.storage_segments s WHERE s.blob_key = $3 AND s.provider <> $2 AND $4 \
     ON CONFLICT DO NOTHING";

/// Copies of an object's segments that are to be made, as the values of [`ADD_COPIES`].
pub(in crate::executor::postgres) struct CopyColumns<'a> {
    bucket: &'a str,
    name: &'a str,
    content_type: &'a str,
    path: &'a str,
    providers: Vec<&'a str>,
    entries: Vec<Uuid>,
    attempts: i32,
}

impl<'a> CopyColumns<'a> {
    /// Those of so many segments; `None` where no copies are kept.
    pub(in crate::executor::postgres) fn of(
        about: About<'a>,
        copies: &'a Copies,
        segments: usize,
    ) -> Option<Self> {
        let most = copies.on.len().saturating_mul(segments);
        (most > 0).then(|| Self {
            bucket: about.bucket.as_str(),
            name: about.path.file_name(),
            content_type: about.content_type,
            path: about.path.as_str(),
            providers: copies.on.iter().map(AsRef::as_ref).collect(),
            entries: (0..most).map(|_| Uuid::now_v7()).collect(),
            attempts: attempts(copies.max_attempts),
        })
    }

    /// As the values of [`ADD_COPIES`], after the version.
    pub(in crate::executor::postgres) fn values<'v>(
        &'v self,
        version: &'v Uuid,
    ) -> [&'v (dyn tokio_postgres::types::ToSql + Sync); 8] {
        [
            version,
            &self.bucket,
            &self.name,
            &self.content_type,
            &self.path,
            &self.providers,
            &self.entries,
            &self.attempts,
        ]
    }
}

/// Writes down the copy that an entry has made. The blob may have moved meanwhile: its entry has followed it, and its bytes are
/// the same. While it is waited for, too: then it is looked for once more.
pub(super) async fn complete(
    pool: &Arc<Pool>,
    worker: Uuid,
    claimed: &ClaimedEntry,
    copy: &BlobKey,
) -> Result<bool, Fault> {
    let (id, target, key) = (&claimed.entry.id, claimed.entry.target.as_ref(), copy.as_str());
    let places = vec![blob_place(copy)];
    let mut session = Session::start(pool, "complete_entry").await?;
    let steps = [
        Step::As(&Caller::keeper()),
        Step::Run(LOCK, &[&places]),
        Step::Run(HOLD, &[id]),
        Step::Run(HOLD, &[id]),
        Step::Run(REPLACE, &[id, &target]),
        Step::Run(ADD, &[id, &target, &key]),
        Step::Run(COMPLETE, &[id, &target, &worker]),
    ];
    let answers = session.run(&steps).await?;
    let changed = |at: usize| answers.get(at).map_or(0, |answer| answer.affected);
    if (changed(4), changed(5)) != (1, 1) {
        session.run(&[Step::Once("ROLLBACK")]).await?;
        return Ok(false);
    }
    session.run(&[Step::Commit]).await?;
    Ok(true)
}

/// The copies of a blob.
pub(in crate::executor::postgres) async fn of_blob(
    pool: &Arc<Pool>,
    access: &Access,
    blob: &BlobKey,
) -> Result<Vec<BlobCopy>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let found = read(pool, "copies_of", &Caller::keeper(), OF_BLOB, &[&blob.as_str()]).await?;
    found.iter().map(shown).collect()
}

/// Copies that a provider has.
pub(in crate::executor::postgres) async fn of_provider(
    pool: &Arc<Pool>,
    access: &Access,
    provider: &str,
    after: Option<&BlobKey>,
    limit: u32,
) -> Result<Vec<BlobCopy>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let values = [&provider as _, &after.map_or("", BlobKey::as_str) as _, &i64::from(limit) as _];
    let found = read(pool, "blob_copies", &Caller::keeper(), OF_PROVIDER, &values).await?;
    found.iter().map(shown).collect()
}

fn shown(row: &Row) -> Result<BlobCopy, Fault> {
    Ok(BlobCopy {
        blob: blob_key(row, 0)?,
        provider: row.try_get::<_, &str>(1)?.into(),
        key: blob_key(row, 2)?,
        size: count(row, 3)?,
    })
}

/// Forgets a copy and queues it for deletion.
pub(in crate::executor::postgres) async fn drop_one(
    pool: &Arc<Pool>,
    access: &Access,
    copy: &BlobCopy,
) -> Result<bool, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let values = [&copy.key.as_str() as _, &copy.provider.as_ref() as _];
    Ok(alone(pool, "drop_copy", &Caller::keeper(), DROP, &values).await?.affected == 1)
}

/// Entries to be made, column by column.
#[derive(Default)]
struct Wanted {
    ids: Vec<Uuid>,
    buckets: Vec<String>,
    names: Vec<String>,
    sizes: Vec<i64>,
    types: Vec<String>,
    paths: Vec<String>,
    keys: Vec<String>,
    sources: Vec<String>,
    targets: Vec<String>,
}

impl Wanted {
    fn add(&mut self, row: &Row) -> Result<(), Fault> {
        let Some(bucket) = row.try_get::<_, Option<String>>(4)? else { return Ok(()) };
        let path = ObjectPath::parse(row.try_get(5)?)?;
        self.ids.push(Uuid::now_v7());
        self.buckets.push(bucket);
        self.names.push(path.file_name().to_owned());
        self.sizes.push(row.try_get(1)?);
        self.types.push(row.try_get(6)?);
        self.paths.push(path.as_str().to_owned());
        self.keys.push(row.try_get(0)?);
        self.sources.push(row.try_get(2)?);
        self.targets.push(row.try_get(3)?);
        Ok(())
    }
}

/// Looks at a page of blobs and queues the copies that they lack.
pub(in crate::executor::postgres) async fn queue(
    pool: &Arc<Pool>,
    access: &Access,
    plan: &CopyPlan,
    after: Option<&BlobKey>,
    limit: u32,
) -> Result<CopiesQueued, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let keeper = Caller::keeper();
    let wanted: Vec<&str> = plan.copies.on.iter().map(AsRef::as_ref).collect();
    if after.is_none() {
        alone(pool, "queue_copies", &keeper, DROP_ENTRIES, &[&wanted]).await?;
    }
    let from = after.map_or("", BlobKey::as_str);
    let bounds = read(pool, "queue_copies", &keeper, BOUNDS, &[&from, &i64::from(limit)]).await?;
    let mut queued = CopiesQueued::default();
    let Some(bounds) = bounds.first() else { return Ok(queued) };
    let (Some(to), seen) = (bounds.try_get::<_, Option<&str>>(0)?, count(bounds, 1)?) else {
        return Ok(queued);
    };
    let well: Vec<&str> = plan.well.iter().map(AsRef::as_ref).collect();
    let ended: Vec<&str> = plan.ended.iter().map(AsRef::as_ref).collect();
    let mut session = Session::start(pool, "queue_copies").await?;
    let page = [&from as _, &to as _, &ended as _, &well as _];
    let lacking = [&from as _, &to as _, &wanted as _, &plan.retries_failed as _];
    let steps = [Step::As(&keeper), Step::Run(LACKING, &lacking), Step::Run(DROP_ENDED, &page)];
    let answers = session.run(&steps).await?;
    let mut entries = Wanted::default();
    for row in answers.first().map_or(&[][..], |answer| &answer.rows) {
        entries.add(row)?;
    }
    queued.dropped = answers.get(1).map_or(0, |answer| answer.affected);
    let attempts = attempts(plan.copies.max_attempts);
    let values = [
        &entries.ids as _,
        &entries.buckets as _,
        &entries.names as _,
        &entries.sizes as _,
        &entries.types as _,
        &entries.paths as _,
        &entries.keys as _,
        &entries.sources as _,
        &entries.targets as _,
        &attempts as _,
        &plan.retries_failed as _,
    ];
    let answers = session.run(&[Step::Run(QUEUE, &values), Step::Commit]).await?;
    for row in answers.first().map_or(&[][..], |answer| &answer.rows) {
        queued.entries = queued.entries.saturating_add(1);
        queued.bytes = queued.bytes.saturating_add(count(row, 0)?);
    }
    if seen >= u64::from(limit) {
        queued.next = Some(blob_key(bounds, 0)?);
    }
    Ok(queued)
}
