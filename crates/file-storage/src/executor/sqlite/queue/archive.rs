//! Entries for blobs of objects that a rule wants on another provider.

use rusqlite::{Connection, named_params};
use uuid::Uuid;

use super::migration::QUEUE;
use crate::executor::lifecycle::REASON;
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::events;
use crate::executor::sqlite::rls::text;
use crate::executor::sqlite::rows::{self, OBJECT, micros, now};
use crate::executor::{ArchiveOrder, QueueReason};
use crate::permissions::{Access, Permission};

/// Blobs that are elsewhere, and are not on their way there for this reason.
const BLOBS: &str = "SELECT s.blob_key, s.size, s.provider FROM storage_segments s \
     WHERE s.version = :version AND s.blob_key IS NOT NULL AND s.provider <> :target \
     AND NOT EXISTS (SELECT 1 FROM upload_queue u WHERE u.blob_key = s.blob_key AND u.reason = 'archive' \
        AND u.target_provider = :target AND u.status IN ('pending', 'in_progress')) ORDER BY s.ordinal";

/// Queues blobs of objects; gives the objects that have such.
pub(in crate::executor::sqlite) fn archive(
    conn: &Connection,
    access: &Access,
    versions: &[Uuid],
    order: &ArchiveOrder,
) -> Result<Vec<Uuid>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let now = now();
    let mut queued = Vec::new();
    for version in versions {
        let mut statement = conn
            .prepare_cached(&format!("SELECT {OBJECT} FROM storage_objects o WHERE o.version = :version"))?;
        let mut rows = statement.query(named_params! { ":version": text(*version) })?;
        let Some(object) = rows.next()?.map(|row| rows::object(row, 0)).transpose()? else { continue };
        drop(rows);
        let mut blobs = conn.prepare_cached(BLOBS)?;
        let mut rows =
            blobs.query(named_params! { ":version": text(*version), ":target": &*order.provider })?;
        let mut found: Vec<(String, i64, String)> = Vec::new();
        while let Some(row) = rows.next()? {
            found.push((row.get(0)?, row.get(1)?, row.get(2)?));
        }
        drop(rows);
        let mut entries = if order.dry_run { found.len() } else { 0 };
        for (key, size, source) in found.iter().filter(|_| !order.dry_run) {
            entries += conn.prepare_cached(QUEUE)?.execute(named_params! {
                ":id": text(Uuid::now_v7()), ":bucket": object.bucket.as_str(), ":name": object.path.file_name(),
                ":size": size, ":type": object.content_type, ":path": object.path.as_str(), ":key": key,
                ":source": source, ":target": &*order.provider, ":reason": QueueReason::Archive.as_str(),
                ":most": order.max_attempts.max(1), ":now": micros(now),
            })?;
        }
        if entries == 0 {
            continue;
        }
        queued.push(*version);
        if !order.dry_run {
            let told = [("reason", REASON), ("archive_provider", &*order.provider)];
            events::object(conn, "storage.object.updated", &object, &told, now)?;
        }
    }
    Ok(queued)
}
