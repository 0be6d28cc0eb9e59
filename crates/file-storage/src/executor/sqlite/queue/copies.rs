//! Copies as rows: made by an entry's end, found, dropped, and queued page by page for blobs that lack them.

use rusqlite::{Connection, Row, named_params};
use uuid::Uuid;

use super::entries;
use crate::Timestamp;
use crate::executor::displaced::{About, Displaced};
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::rls::text;
use crate::executor::sqlite::rows::{blob_key, count, int, micros, now, str};
use crate::executor::{BlobCopy, ClaimedEntry, Copies, CopiesQueued, CopyPlan, Home, QueueReason};
use crate::file::BlobKey;
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

/// Writes entries for the copies of a version's segments. They are nobody's: a user's upload is done without them.
pub(in crate::executor::sqlite) fn add_copies(
    conn: &Connection,
    about: About<'_>,
    version: Uuid,
    copies: &Copies,
    now: Timestamp,
) -> Result<(), Fault> {
    if copies.on.is_empty() {
        return Ok(());
    }
    let mut statement = conn.prepare_cached(
        "SELECT blob_key, size, provider FROM storage_segments WHERE version = :version AND blob_key IS NOT NULL \
         ORDER BY ordinal",
    )?;
    let mut rows = statement.query(named_params! { ":version": text(version) })?;
    let about = About { user: None, ..about };
    while let Some(row) = rows.next()? {
        let (key, size, source) = (blob_key(row, 0)?, count(row, 1)?, str(row, 2)?);
        for provider in copies.on.iter().filter(|provider| ***provider != *source) {
            let home = Home {
                entry: Uuid::now_v7(),
                provider: provider.clone(),
                reason: QueueReason::Copy,
                max_attempts: copies.max_attempts,
            };
            entries::add(conn, about, &Displaced { home: &home, source, key: &key, size }, now)?;
        }
    }
    Ok(())
}

/// Writes down the copy that an entry has made. The blob may have moved meanwhile: its entry has followed it, and its bytes are
/// the same. A copy that is there already makes way.
pub(super) fn complete(
    conn: &Connection,
    worker: Uuid,
    claimed: &ClaimedEntry,
    copy: &BlobKey,
    now: i64,
) -> Result<bool, Fault> {
    let (id, target) = (text(claimed.entry.id), claimed.entry.target.as_ref());
    let mut statement = conn.prepare_cached(
        "UPDATE upload_queue SET status = 'completed', completed_at = :now, error_message = NULL, \
         leased_by = NULL, leased_until = NULL, updated_at = :now \
         WHERE id = :id AND status = 'in_progress' AND leased_by = :worker AND target_provider = :target \
         AND EXISTS (SELECT 1 FROM storage_segments s WHERE s.blob_key = upload_queue.blob_key AND s.provider <> :target) \
         RETURNING blob_key",
    )?;
    let mut rows = statement.query(named_params! {
        ":id": id, ":worker": text(worker), ":target": target, ":now": now,
    })?;
    let mut completed = None;
    while let Some(row) = rows.next()? {
        completed = Some(blob_key(row, 0)?);
    }
    let Some(blob) = completed else { return Ok(false) };
    drop_at(conn, &blob, target, now)?;
    conn.prepare_cached(
        "INSERT INTO blob_copies (copy_key, blob_key, provider, size, verified_at) \
         VALUES (:copy, :blob, :target, :size, :now)",
    )?
    .execute(named_params! {
        ":copy": copy.as_str(), ":blob": blob.as_str(), ":target": target, ":size": int(claimed.entry.size),
        ":now": now,
    })?;
    Ok(true)
}

/// Forgets the copy of a blob on a provider, if there is one, and queues it for deletion.
fn drop_at(conn: &Connection, blob: &BlobKey, provider: &str, now: i64) -> Result<usize, Fault> {
    conn.prepare_cached(
        "INSERT INTO blob_deletions (blob_key, provider, size, queued_at) \
         SELECT copy_key, provider, size, :now FROM blob_copies WHERE blob_key = :blob AND provider = :provider",
    )?
    .execute(named_params! { ":blob": blob.as_str(), ":provider": provider, ":now": now })?;
    let gone = conn
        .prepare_cached("DELETE FROM blob_copies WHERE blob_key = :blob AND provider = :provider")?
        .execute(named_params! { ":blob": blob.as_str(), ":provider": provider })?;
    Ok(gone)
}

/// What is known of a blob's copies when it changes its place to a provider: those on it go, the others follow, and so do entries.
pub(super) fn follow(
    conn: &Connection,
    (from, to): (&BlobKey, &BlobKey),
    provider: &str,
    now: i64,
) -> Result<(), Fault> {
    conn.prepare_cached(
        "DELETE FROM upload_queue WHERE blob_key = :from AND status <> 'completed' AND reason = 'copy' \
         AND target_provider = :provider",
    )?
    .execute(named_params! { ":from": from.as_str(), ":provider": provider })?;
    conn.prepare_cached(
        "UPDATE upload_queue SET blob_key = :to, source_provider = :provider, updated_at = :now \
         WHERE blob_key = :from AND status <> 'completed' AND reason = 'copy'",
    )?
    .execute(named_params! {
        ":from": from.as_str(), ":to": to.as_str(), ":provider": provider, ":now": now,
    })?;
    drop_at(conn, from, provider, now)?;
    conn.prepare_cached("UPDATE blob_copies SET blob_key = :to WHERE blob_key = :from")?
        .execute(named_params! { ":from": from.as_str(), ":to": to.as_str() })?;
    Ok(())
}

/// Has the old blob of a segment stay as a copy of the new one. `false` where it is none of a segment's.
pub(super) fn keep(
    conn: &Connection,
    (old, new): (&BlobKey, &BlobKey),
    provider: &str,
    now: i64,
) -> Result<bool, Fault> {
    let kept = conn
        .prepare_cached(
            "INSERT INTO blob_copies (copy_key, blob_key, provider, size, verified_at) \
             SELECT :old, s.blob_key, :provider, s.size, :now FROM storage_segments s \
             WHERE s.blob_key = :new AND s.provider <> :provider ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! {
            ":old": old.as_str(), ":new": new.as_str(), ":provider": provider, ":now": now,
        })?;
    Ok(kept == 1)
}

const COPY: &str = "SELECT blob_key, provider, copy_key, size FROM blob_copies";

fn shown(row: &Row<'_>) -> Result<BlobCopy, Fault> {
    Ok(BlobCopy {
        blob: blob_key(row, 0)?,
        provider: str(row, 1)?.into(),
        key: blob_key(row, 2)?,
        size: count(row, 3)?,
    })
}

/// The copies of a blob.
pub(in crate::executor::sqlite) fn copies_of(
    conn: &Connection,
    access: &Access,
    blob: &BlobKey,
) -> Result<Vec<BlobCopy>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let mut statement = conn.prepare_cached(&format!("{COPY} WHERE blob_key = :blob ORDER BY provider"))?;
    let mut rows = statement.query(named_params! { ":blob": blob.as_str() })?;
    let mut copies = Vec::new();
    while let Some(row) = rows.next()? {
        copies.push(shown(row)?);
    }
    Ok(copies)
}

/// Copies that a provider has.
pub(in crate::executor::sqlite) fn blob_copies(
    conn: &Connection,
    access: &Access,
    provider: &str,
    after: Option<&BlobKey>,
    limit: u32,
) -> Result<Vec<BlobCopy>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let mut statement = conn.prepare_cached(&format!(
        "{COPY} WHERE provider = :provider AND copy_key > :after ORDER BY copy_key LIMIT :limit"
    ))?;
    let mut rows = statement.query(named_params! {
        ":provider": provider, ":after": after.map_or("", BlobKey::as_str), ":limit": limit,
    })?;
    let mut copies = Vec::new();
    while let Some(row) = rows.next()? {
        copies.push(shown(row)?);
    }
    Ok(copies)
}

/// Forgets a copy and queues it for deletion.
pub(in crate::executor::sqlite) fn drop_copy(
    conn: &Connection,
    access: &Access,
    copy: &BlobCopy,
) -> Result<bool, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let gone = conn
        .prepare_cached("DELETE FROM blob_copies WHERE copy_key = :key AND provider = :provider")?
        .execute(named_params! { ":key": copy.key.as_str(), ":provider": copy.provider.as_ref() })?;
    if gone == 1 {
        conn.prepare_cached(
            "INSERT INTO blob_deletions (blob_key, provider, size, queued_at) VALUES (:key, :provider, :size, :now)",
        )?
        .execute(named_params! {
            ":key": copy.key.as_str(), ":provider": copy.provider.as_ref(), ":size": int(copy.size),
            ":now": micros(now()),
        })?;
    }
    Ok(gone == 1)
}

/// A page of blobs, and what is to be done about their copies.
pub(in crate::executor::sqlite) struct Page {
    /// The last of them; `None` where there is none.
    last: Option<BlobKey>,
    is_full: bool,
    lacking: Vec<Lacking>,
    /// Blobs, and providers that have copies of them which are not kept any more.
    ended: Vec<(BlobKey, String)>,
}

struct Lacking {
    blob: BlobKey,
    size: u64,
    source: String,
    target: String,
    bucket: String,
    path: ObjectPath,
    content_type: String,
}

impl Page {
    /// Whether nothing is to be done about it.
    pub(in crate::executor::sqlite) fn is_complete(&self) -> bool {
        self.lacking.is_empty() && self.ended.is_empty()
    }

    /// Where to go on.
    pub(in crate::executor::sqlite) fn next(self) -> Option<BlobKey> {
        self.last.filter(|_| self.is_full)
    }
}

/// What copies the blobs of a page lack, with what entries say.
const LACKING: &str = "SELECT s.blob_key, s.size, s.provider, t.value, coalesce(o.bucket_id, v.bucket_id), \
     coalesce(o.path, v.path), coalesce(o.content_type, v.content_type) \
     FROM storage_segments s CROSS JOIN json_each(:wanted) t \
     LEFT JOIN storage_objects o ON o.version = s.version \
     LEFT JOIN storage_object_versions v ON v.version = s.version \
     WHERE s.blob_key > :after AND s.blob_key <= :last AND s.provider <> t.value \
     AND NOT EXISTS (SELECT 1 FROM blob_copies c WHERE c.blob_key = s.blob_key AND c.provider = t.value) \
     AND NOT EXISTS (SELECT 1 FROM upload_queue q WHERE q.blob_key = s.blob_key AND q.status <> 'completed' \
         AND q.reason = 'copy' AND q.target_provider = t.value AND NOT (q.status = 'failed' AND :retries)) \
     AND NOT EXISTS (SELECT 1 FROM upload_queue q WHERE q.blob_key = s.blob_key AND q.reason <> 'copy' \
         AND q.target_provider = t.value AND q.status IN ('pending', 'in_progress')) \
     ORDER BY s.blob_key, t.id";

/// Looks at a page of blobs, and changes nothing.
pub(in crate::executor::sqlite) fn look(
    conn: &Connection,
    access: &Access,
    plan: &CopyPlan,
    after: Option<&BlobKey>,
    limit: u32,
) -> Result<Page, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let from = after.map_or("", BlobKey::as_str);
    let mut page = Page { last: None, is_full: false, lacking: Vec::new(), ended: Vec::new() };
    let mut bounds = conn.prepare_cached(
        "SELECT max(blob_key), count(*) FROM (SELECT blob_key FROM storage_segments WHERE blob_key > :after \
         ORDER BY blob_key LIMIT :limit)",
    )?;
    let mut rows = bounds.query(named_params! { ":after": from, ":limit": limit })?;
    if let Some(row) = rows.next()?
        && row.get_ref(0)? != rusqlite::types::ValueRef::Null
    {
        (page.last, page.is_full) = (Some(blob_key(row, 0)?), count(row, 1)? >= u64::from(limit));
    }
    let Some(last) = page.last.clone() else { return Ok(page) };
    let mut lacking = conn.prepare_cached(LACKING)?;
    let mut rows = lacking.query(named_params! {
        ":after": from, ":last": last.as_str(), ":wanted": names(&plan.copies.on), ":retries": plan.retries_failed,
    })?;
    while let Some(row) = rows.next()? {
        page.lacking.push(Lacking {
            blob: blob_key(row, 0)?,
            size: count(row, 1)?,
            source: row.get(2)?,
            target: row.get(3)?,
            bucket: row.get(4)?,
            path: ObjectPath::parse(str(row, 5)?)?,
            content_type: row.get(6)?,
        });
    }
    let mut ended = conn.prepare_cached(
        "SELECT blob_key, provider FROM blob_copies WHERE blob_key > :after AND blob_key <= :last \
         AND provider IN (SELECT value FROM json_each(:ended)) \
         AND EXISTS (SELECT 1 FROM storage_segments s WHERE s.blob_key = blob_copies.blob_key \
             AND s.provider IN (SELECT value FROM json_each(:well)))",
    )?;
    let mut rows = ended.query(named_params! {
        ":after": from, ":last": last.as_str(), ":ended": names(&plan.ended),
        ":well": names(&plan.well),
    })?;
    while let Some(row) = rows.next()? {
        page.ended.push((blob_key(row, 0)?, row.get(1)?));
    }
    Ok(page)
}

const QUEUE: &str = "INSERT INTO upload_queue AS u (id, bucket_id, file_name, file_size_bytes, mime_type, storage_path, \
     blob_key, source_provider, target_provider, reason, max_attempts, next_attempt_at, queued_at, created_at, updated_at) \
     VALUES (:id, :bucket, :name, :size, :type, :path, :key, :source, :target, 'copy', :most, :now, :now, :now, :now) \
     ON CONFLICT (blob_key, CASE WHEN reason = 'copy' THEN target_provider ELSE '' END) WHERE status <> 'completed' \
     DO UPDATE SET status = 'pending', attempt_count = 0, max_attempts = excluded.max_attempts, \
     next_attempt_at = :now, queued_at = :now, completed_at = NULL, updated_at = :now \
     WHERE u.status = 'failed' AND :retries";

/// Looks at a page of blobs and queues the copies that they lack.
pub(in crate::executor::sqlite) fn queue_copies(
    conn: &Connection,
    access: &Access,
    plan: &CopyPlan,
    after: Option<&BlobKey>,
    limit: u32,
) -> Result<CopiesQueued, Fault> {
    let page = look(conn, access, plan, after, limit)?;
    let now = micros(now());
    let mut queued = CopiesQueued::default();
    if after.is_none() {
        conn.prepare_cached(
            "DELETE FROM upload_queue WHERE id IN (SELECT id FROM upload_queue \
             WHERE status IN ('pending', 'in_progress', 'failed') AND reason = 'copy' \
             AND target_provider NOT IN (SELECT value FROM json_each(:wanted)) LIMIT 10000)",
        )?
        .execute(named_params! { ":wanted": names(&plan.copies.on) })?;
    }
    let mut queue = conn.prepare_cached(QUEUE)?;
    for lacking in &page.lacking {
        let made = queue.execute(named_params! {
            ":id": text(Uuid::now_v7()), ":bucket": lacking.bucket, ":name": lacking.path.file_name(),
            ":size": int(lacking.size), ":type": lacking.content_type, ":path": lacking.path.as_str(),
            ":key": lacking.blob.as_str(), ":source": lacking.source, ":target": lacking.target,
            ":most": plan.copies.max_attempts.max(1), ":now": now, ":retries": plan.retries_failed,
        })?;
        if made == 1 {
            queued.entries = queued.entries.saturating_add(1);
            queued.bytes = queued.bytes.saturating_add(lacking.size);
        }
    }
    for (blob, provider) in &page.ended {
        queued.dropped = queued.dropped.saturating_add(drop_at(conn, blob, provider, now)? as u64);
    }
    queued.next = page.next();
    Ok(queued)
}

/// Names, as statements take a list of them.
fn names(providers: &[std::sync::Arc<str>]) -> String {
    serde_json::Value::from_iter(providers.iter().map(AsRef::as_ref)).to_string()
}
