//! What a scrub asks, as the keeper: blobs and inline bytes that rows refer to, page by page.

use std::sync::{Arc, LazyLock};

use tokio_postgres::Row;
use uuid::Uuid;

use super::errors::Fault;
use super::pool::Pool;
use super::rls::Caller;
use super::rows::{blob_key, count, digest};
use super::session::read;
use crate::bucket::BucketName;
use crate::executor::{BlobPage, InlinePage, InlineSegment, ReferredBlob, ScrubScope, SegmentRow};
use crate::file::BlobKey;
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

/// What rows say of blobs, of those of each table under a condition on `t`, which is the table.
fn referred(condition: &str) -> String {
    let of = |table: &str| condition.replace("t.", &format!("{table}."));
    let (segments, parts, copies) = (of("s"), of("p"), of("c"));
    format!(
        "(SELECT s.blob_key, s.provider, s.size, s.sha256, coalesce(o.bucket_id, v.bucket_id), coalesce(o.path, v.path), \
         NULL::text FROM {{schema}}.storage_segments s LEFT JOIN {{schema}}.storage_objects o ON o.version = s.version \
         LEFT JOIN {{schema}}.storage_object_versions v ON v.version = s.version WHERE {segments}) \
         UNION ALL (SELECT p.blob_key, p.provider, p.size, p.sha256, m.bucket_id, m.path, NULL::text \
         FROM {{schema}}.multipart_parts p JOIN {{schema}}.multipart_uploads m ON m.id = p.upload_id WHERE {parts}) \
         UNION ALL (SELECT c.blob_key, c.provider, c.size, s.sha256, coalesce(o.bucket_id, v.bucket_id), \
         coalesce(o.path, v.path), c.copy_of \
         FROM (SELECT copy_key AS blob_key, provider, size, blob_key AS copy_of FROM {{schema}}.blob_copies) c \
         JOIN {{schema}}.storage_segments s ON s.blob_key = c.copy_of \
         LEFT JOIN {{schema}}.storage_objects o ON o.version = s.version \
         LEFT JOIN {{schema}}.storage_object_versions v ON v.version = s.version WHERE {copies})"
    )
}

static PAGE: LazyLock<String> = LazyLock::new(|| {
    let each = referred("t.blob_key > $1 ORDER BY t.blob_key LIMIT $2");
    format!("{each} ORDER BY 1 LIMIT $2")
});

/// A condition on what both tables name alike: of each, an index has it.
static PAGE_OF_PROVIDER: LazyLock<String> = LazyLock::new(|| {
    let each = referred("t.provider = $3 AND t.blob_key > $1 ORDER BY t.blob_key LIMIT $2");
    format!("{each} ORDER BY 1 LIMIT $2")
});

static ONE: LazyLock<String> = LazyLock::new(|| referred("t.blob_key = $1"));

const INLINE: &str = "SELECT s.version, s.ordinal, s.bytes, s.sha256, coalesce(o.bucket_id, v.bucket_id), \
     coalesce(o.path, v.path) FROM (SELECT version, ordinal, bytes, sha256 FROM {schema}.storage_segments \
         WHERE (version, ordinal) > ($1, $2) ORDER BY version, ordinal LIMIT $3) s \
     LEFT JOIN {schema}.storage_objects o ON o.version = s.version \
     LEFT JOIN {schema}.storage_object_versions v ON v.version = s.version ORDER BY s.version, s.ordinal";

fn blob(row: &Row) -> Result<ReferredBlob, Fault> {
    Ok(ReferredBlob {
        key: blob_key(row, 0)?,
        provider: row.try_get::<_, &str>(1)?.into(),
        size: count(row, 2)?,
        sha256: digest(row, 3)?,
        bucket: BucketName::parse(row.try_get(4)?)?,
        path: ObjectPath::parse(row.try_get(5)?)?,
        copy_of: row.try_get::<_, Option<&str>>(6)?.map(known).transpose()?,
    })
}

fn known(key: &str) -> Result<BlobKey, Fault> {
    BlobKey::from_stored(key).ok_or_else(|| Fault::corrupt("blob key"))
}

/// A page of blobs by their keys. It is as long as what is looked at, so that each takes a moment, however few of them are of the
/// bucket.
pub(super) async fn page(
    pool: &Arc<Pool>,
    access: &Access,
    scope: &ScrubScope,
    after: Option<&BlobKey>,
    limit: u32,
) -> Result<BlobPage, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let (after, most) = (after.map_or("", BlobKey::as_str), i64::from(limit));
    let found = match scope.provider.as_deref() {
        None => read(pool, "scrub_page", &Caller::keeper(), &PAGE, &[&after, &most]).await?,
        Some(provider) => {
            let values = [&after as _, &most as _, &provider as _];
            read(pool, "scrub_page", &Caller::keeper(), &PAGE_OF_PROVIDER, &values).await?
        }
    };
    let mut blobs = found.iter().map(blob).collect::<Result<Vec<_>, _>>()?;
    let is_full = found.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next = blobs.last().filter(|_| is_full).map(|last| last.key.clone());
    blobs.retain(|blob| scope.bucket.as_ref().is_none_or(|bucket| *bucket == blob.bucket));
    Ok(BlobPage { blobs, next })
}

/// What rows say of one blob.
pub(super) async fn show(
    pool: &Arc<Pool>,
    access: &Access,
    key: &BlobKey,
) -> Result<Option<ReferredBlob>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let found = read(pool, "referred_blob", &Caller::keeper(), &ONE, &[&key.as_str()]).await?;
    found.first().map(blob).transpose()
}

/// A page of segments by their rows, those that have their bytes with them.
pub(super) async fn inline(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: Option<&BucketName>,
    after: Option<SegmentRow>,
    limit: u32,
) -> Result<InlinePage, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let version = after.map_or(Uuid::nil(), |after| after.version);
    // Before the first of all: the nil version has none.
    let ordinal = after.map_or(0, |after| i32::try_from(after.ordinal).unwrap_or(i32::MAX));
    let values = [&version as _, &ordinal as _, &i64::from(limit) as _];
    let found = read(pool, "inline_page", &Caller::keeper(), INLINE, &values).await?;
    let mut page = InlinePage::default();
    let place = |row: &Row| -> Result<SegmentRow, Fault> {
        let ordinal = u32::try_from(row.try_get::<_, i32>(1)?).map_err(|_| Fault::corrupt("ordinal"))?;
        Ok(SegmentRow { version: row.try_get(0)?, ordinal })
    };
    for row in &found {
        let Some(bytes) = row.try_get::<_, Option<Vec<u8>>>(2)? else { continue };
        let of = BucketName::parse(row.try_get(4)?)?;
        if bucket.is_none_or(|bucket| *bucket == of) {
            let (sha256, path) = (digest(row, 3)?, ObjectPath::parse(row.try_get(5)?)?);
            page.segments.push(InlineSegment {
                row: place(row)?,
                bytes: bytes.into(),
                sha256,
                bucket: of,
                path,
            });
        }
    }
    let is_full = found.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    page.next = found.last().filter(|_| is_full).map(place).transpose()?;
    Ok(page)
}
