//! Entries for blobs that are to go from one provider to another, page by page.

use std::sync::Arc;

use uuid::Uuid;

use super::entries::attempts;
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::rls::Caller;
use crate::executor::postgres::rows::{blob_key, count};
use crate::executor::postgres::session::{Session, Step};
use crate::executor::{Migrated, Migration};
use crate::file::BlobKey;
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

/// A page of all blobs by their keys, with what their entries say. It is as long as what is looked at, so that each takes a moment,
/// however few of them are asked for. Nobody deletes or moves them until the transaction ends: an entry is of a blob that is there.
///
/// IMPORTANT: which keys the page has is read before any row is waited for: a blob that moves meanwhile has another key then, which
/// must not be taken for the end of the page.
const PAGE: &str = "WITH keys AS MATERIALIZED (SELECT blob_key FROM ( \
         (SELECT blob_key FROM {schema}.storage_segments WHERE blob_key > $1 ORDER BY blob_key LIMIT $2) \
         UNION ALL (SELECT blob_key FROM {schema}.multipart_parts WHERE blob_key > $1 ORDER BY blob_key LIMIT $2)) k \
         ORDER BY blob_key LIMIT $2), \
     segments AS MATERIALIZED (SELECT s.blob_key, s.size, s.provider, s.version FROM {schema}.storage_segments s \
         WHERE s.blob_key = ANY (ARRAY(SELECT blob_key FROM keys)) FOR SHARE), \
     parts AS MATERIALIZED (SELECT p.blob_key, p.size, p.provider, p.upload_id FROM {schema}.multipart_parts p \
         WHERE p.blob_key = ANY (ARRAY(SELECT blob_key FROM keys)) FOR SHARE) \
     SELECT k.blob_key, f.size, f.provider, f.bucket_id, f.path, f.content_type FROM keys k LEFT JOIN ( \
         SELECT s.blob_key, s.size, s.provider, coalesce(o.bucket_id, v.bucket_id) AS bucket_id, \
             coalesce(o.path, v.path) AS path, coalesce(o.content_type, v.content_type) AS content_type \
             FROM segments s LEFT JOIN {schema}.storage_objects o ON o.version = s.version \
             LEFT JOIN {schema}.storage_object_versions v ON v.version = s.version \
         UNION ALL SELECT p.blob_key, p.size, p.provider, m.bucket_id, m.path, m.content_type \
             FROM parts p JOIN {schema}.multipart_uploads m ON m.id = p.upload_id) f USING (blob_key) \
     ORDER BY k.blob_key";

pub(super) const QUEUE: &str = "INSERT INTO {schema}.upload_queue AS u (id, bucket_id, file_name, file_size_bytes, mime_type, \
     storage_path, blob_key, source_provider, target_provider, reason, max_attempts) \
     SELECT e.id, e.bucket, e.name, e.size, e.type, e.path, e.key, $8, $9, $10, $11 FROM unnest($1::uuid[], $2::text[], \
     $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[]) e (id, bucket, name, size, type, path, key) \
     ON CONFLICT (blob_key, (CASE WHEN reason = 'copy' THEN target_provider ELSE '' END)) WHERE status <> 'completed' \
     DO UPDATE SET status = 'pending', attempt_count = 0, \
     target_provider = excluded.target_provider, max_attempts = excluded.max_attempts, \
     reason = CASE WHEN u.reason = 'deferred' AND excluded.reason = 'archive' THEN u.reason ELSE excluded.reason END, \
     next_attempt_at = now(), queued_at = now(), completed_at = NULL WHERE u.status = 'failed' \
     OR u.status = 'pending' AND u.target_provider <> excluded.target_provider \
     RETURNING file_size_bytes, blob_key";

/// Entries to be made, column by column.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) ids: Vec<Uuid>,
    pub(super) buckets: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) sizes: Vec<i64>,
    pub(super) types: Vec<String>,
    pub(super) paths: Vec<String>,
    pub(super) keys: Vec<String>,
}

impl Wanted {
    /// One more.
    pub(super) fn add(
        &mut self,
        key: String,
        size: i64,
        (bucket, path): (&str, &ObjectPath),
        content_type: String,
    ) {
        self.ids.push(Uuid::now_v7());
        self.buckets.push(bucket.to_owned());
        self.names.push(path.file_name().to_owned());
        self.sizes.push(size);
        self.types.push(content_type);
        self.paths.push(path.as_str().to_owned());
        self.keys.push(key);
    }
}

/// Looks at a page of blobs and queues those that are to go.
pub(in crate::executor::postgres) async fn migrate(
    pool: &Arc<Pool>,
    access: &Access,
    migration: &Migration,
    after: Option<&BlobKey>,
    limit: u32,
) -> Result<Migrated, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let mut session = Session::start(pool, "queue_migration").await?;
    let page = [&after.map_or("", BlobKey::as_str) as _, &i64::from(limit) as _];
    let answers = session.run(&[Step::As(&Caller::keeper()), Step::Run(PAGE, &page)]).await?;
    let rows = answers.first().map_or(&[][..], |answer| &answer.rows);
    let mut wanted = Wanted::default();
    for row in rows {
        // Gone meanwhile, or on its way.
        let (Some(provider), Some(bucket)) =
            (row.try_get::<_, Option<&str>>(2)?, row.try_get::<_, Option<&str>>(3)?)
        else {
            continue;
        };
        let asked_for = migration.bucket.as_ref().is_none_or(|wanted| wanted.as_str() == bucket);
        if asked_for && *provider == *migration.from && migration.from != migration.to {
            let path = ObjectPath::parse(row.try_get(4)?)?;
            wanted.add(row.try_get(0)?, row.try_get(1)?, (bucket, &path), row.try_get(5)?);
        }
    }
    let is_full = rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next = rows.last().filter(|_| is_full).map(|row| blob_key(row, 0)).transpose()?;
    let (from, to) = (migration.from.as_ref(), migration.to.as_ref());
    let values = [
        &wanted.ids as _,
        &wanted.buckets as _,
        &wanted.names as _,
        &wanted.sizes as _,
        &wanted.types as _,
        &wanted.paths as _,
        &wanted.keys as _,
        &from as _,
        &to as _,
        &migration.reason.as_str() as _,
        &attempts(migration.max_attempts) as _,
    ];
    let answers = session.run(&[Step::Run(QUEUE, &values), Step::Commit]).await?;
    let mut migrated = Migrated { entries: 0, bytes: 0, next };
    for row in answers.first().map_or(&[][..], |answer| &answer.rows) {
        migrated.entries = migrated.entries.saturating_add(1);
        migrated.bytes = migrated.bytes.saturating_add(count(row, 0)?);
    }
    Ok(migrated)
}
