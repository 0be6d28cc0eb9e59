//! Entries for blobs that are to go from one provider to another, page by page.

use rusqlite::{Connection, named_params};
use uuid::Uuid;

use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::rls::text;
use crate::executor::sqlite::rows::{blob_key, count, int, micros, now};
use crate::executor::{Migrated, Migration};
use crate::file::BlobKey;
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

/// A page of all blobs by their keys, and what their entries say. It is as long as what is looked at, so that each takes a
/// moment, however few of them are asked for.
const PAGE: &str = "SELECT blob_key, size, provider, bucket_id, path, content_type FROM ( \
     SELECT * FROM (SELECT s.blob_key, s.size, s.provider, coalesce(o.bucket_id, v.bucket_id) AS bucket_id, \
     coalesce(o.path, v.path) AS path, coalesce(o.content_type, v.content_type) AS content_type \
     FROM storage_segments s LEFT JOIN storage_objects o ON o.version = s.version \
     LEFT JOIN storage_object_versions v ON v.version = s.version \
     WHERE s.blob_key > :after ORDER BY s.blob_key LIMIT :limit) \
     UNION ALL SELECT * FROM (SELECT p.blob_key, p.size, p.provider, m.bucket_id, m.path, m.content_type \
     FROM multipart_parts p CROSS JOIN multipart_uploads m ON m.id = p.upload_id \
     WHERE p.blob_key > :after ORDER BY p.blob_key LIMIT :limit)) ORDER BY 1 LIMIT :limit";

pub(super) const QUEUE: &str = "INSERT INTO upload_queue AS u (id, bucket_id, file_name, file_size_bytes, mime_type, storage_path, \
     blob_key, source_provider, target_provider, reason, max_attempts, next_attempt_at, queued_at, created_at, updated_at) \
     VALUES (:id, :bucket, :name, :size, :type, :path, :key, :source, :target, :reason, :most, :now, :now, :now, :now) \
     ON CONFLICT (blob_key, CASE WHEN reason = 'copy' THEN target_provider ELSE '' END) WHERE status <> 'completed' \
     DO UPDATE SET status = 'pending', attempt_count = 0, \
     target_provider = excluded.target_provider, max_attempts = excluded.max_attempts, \
     reason = CASE WHEN u.reason = 'deferred' AND excluded.reason = 'archive' THEN u.reason ELSE excluded.reason END, \
     next_attempt_at = :now, queued_at = :now, completed_at = NULL, updated_at = :now WHERE u.status = 'failed' \
     OR u.status = 'pending' AND u.target_provider <> excluded.target_provider";

/// Looks at a page of blobs and queues those that are to go.
pub(in crate::executor::sqlite) fn migrate(
    conn: &Connection,
    access: &Access,
    migration: &Migration,
    after: Option<&BlobKey>,
    limit: u32,
) -> Result<Migrated, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let now = micros(now());
    let mut page = conn.prepare_cached(PAGE)?;
    let mut rows =
        page.query(named_params! { ":after": after.map_or("", BlobKey::as_str), ":limit": limit })?;
    let mut queue = conn.prepare_cached(QUEUE)?;
    let mut migrated = Migrated { entries: 0, bytes: 0, next: None };
    let (mut looked_at, mut last) = (0_u32, None);
    while let Some(row) = rows.next()? {
        let key = blob_key(row, 0)?;
        looked_at = looked_at.saturating_add(1);
        let (provider, bucket): (String, String) = (row.get(2)?, row.get(3)?);
        let wanted = migration.bucket.as_ref().is_none_or(|wanted| wanted.as_str() == bucket);
        if wanted && *provider == *migration.from && migration.from != migration.to {
            let (size, path) = (count(row, 1)?, ObjectPath::parse(&row.get::<_, String>(4)?)?);
            let queued = queue.execute(named_params! {
                ":id": text(Uuid::now_v7()), ":bucket": bucket, ":name": path.file_name(), ":size": int(size),
                ":type": row.get::<_, String>(5)?, ":path": path.as_str(), ":key": key.as_str(), ":source": provider,
                ":target": migration.to.as_ref(), ":reason": migration.reason.as_str(),
                ":most": migration.max_attempts.max(1), ":now": now,
            })?;
            if queued == 1 {
                migrated.entries = migrated.entries.saturating_add(1);
                migrated.bytes = migrated.bytes.saturating_add(size);
            }
        }
        last = Some(key);
    }
    migrated.next = last.filter(|_| looked_at >= limit);
    Ok(migrated)
}
