//! Entries for blobs of objects that a rule wants on another provider.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::entries::attempts;
use super::migration::{QUEUE, Wanted};
use crate::executor::lifecycle::REASON;
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::rls::Caller;
use crate::executor::postgres::session::{Session, Step};
use crate::executor::{ArchiveOrder, QueueReason};
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

/// Blobs that are elsewhere, and are not on their way there for this reason. Nobody deletes or moves them until the transaction
/// ends: an entry is of a blob that is there.
const BLOBS: &str = "WITH blobs AS MATERIALIZED (SELECT s.blob_key, s.size, s.provider, s.version \
         FROM {schema}.storage_segments s WHERE s.version = ANY ($1::uuid[]) AND s.blob_key IS NOT NULL \
         AND s.provider <> $2 ORDER BY s.blob_key FOR SHARE SKIP LOCKED) \
     SELECT b.blob_key, b.size, b.provider, b.version, o.bucket_id, o.path, o.content_type FROM blobs b \
     JOIN {schema}.storage_objects o ON o.version = b.version \
     WHERE NOT EXISTS (SELECT 1 FROM {schema}.upload_queue u WHERE u.blob_key = b.blob_key AND u.reason = 'archive' \
        AND u.target_provider = $2 AND u.status IN ('pending', 'in_progress'))";

/// Tells of objects whose bytes are on their way.
const TELL: &str = "INSERT INTO {schema}.storage_events (kind, bucket_id, path, owner_id, payload) \
     SELECT 'storage.object.updated', o.bucket_id, o.path, o.owner_id, \
        {inner}.told(o.id, o.version, o.size, o.content_type, o.etag) \
        || jsonb_build_object('reason', $2::text, 'archive_provider', $3::text) \
     FROM {schema}.storage_objects o WHERE o.version = ANY ($1::uuid[]) ORDER BY o.bucket_id, o.path";

/// Queues blobs of objects; gives the objects that have such.
pub(in crate::executor::postgres) async fn archive(
    pool: &Arc<Pool>,
    access: &Access,
    versions: &[Uuid],
    order: &ArchiveOrder,
) -> Result<Vec<Uuid>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let provider = order.provider.as_ref();
    let mut session = Session::start(pool, "archive_versions").await?;
    let found = session
        .run(&[Step::As(&Caller::keeper()), Step::Run(BLOBS, &[&versions as _, &provider as _])])
        .await?;
    let rows = found.first().map_or(&[][..], |answer| &answer.rows);
    let mut of: HashMap<String, Uuid> = HashMap::with_capacity(rows.len());
    let mut by_source: BTreeMap<String, Wanted> = BTreeMap::new();
    for row in rows {
        let (key, path): (String, _) = (row.try_get(0)?, ObjectPath::parse(row.try_get(5)?)?);
        of.insert(key.clone(), row.try_get(3)?);
        let wanted = by_source.entry(row.try_get(2)?).or_default();
        wanted.add(key, row.try_get(1)?, (row.try_get(4)?, &path), row.try_get(6)?);
    }
    if order.dry_run || of.is_empty() {
        let all: HashSet<Uuid> = of.into_values().collect();
        return Ok(all.into_iter().collect());
    }
    let mut queued = HashSet::new();
    let (reason, most) = (QueueReason::Archive.as_str(), attempts(order.max_attempts));
    for (source, wanted) in &by_source {
        let values = [
            &wanted.ids as _,
            &wanted.buckets as _,
            &wanted.names as _,
            &wanted.sizes as _,
            &wanted.types as _,
            &wanted.paths as _,
            &wanted.keys as _,
            source as _,
            &provider as _,
            &reason as _,
            &most as _,
        ];
        let answers = session.run(&[Step::Run(QUEUE, &values)]).await?;
        for row in answers.first().map_or(&[][..], |answer| &answer.rows) {
            queued.extend(of.get(row.try_get::<_, &str>(1)?));
        }
    }
    let queued: Vec<Uuid> = queued.into_iter().collect();
    let told = [&queued as _, &REASON as _, &provider as _];
    session.run(&[Step::Run(TELL, &told), Step::Commit]).await?;
    Ok(queued)
}
