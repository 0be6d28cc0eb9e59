//! What a scrub asks: blobs and inline bytes that rows refer to, page by page.

use rusqlite::{Connection, Row, named_params};

use super::errors::Fault;
use super::rls::text;
use super::rows::{blob_key, count, digest, str, uuid};
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
        "SELECT blob_key, provider, size, sha256, bucket_id, path, copy_of FROM ( \
         SELECT * FROM (SELECT s.blob_key, s.provider, s.size, s.sha256, coalesce(o.bucket_id, v.bucket_id) AS bucket_id, \
         coalesce(o.path, v.path) AS path, NULL AS copy_of FROM storage_segments s \
         LEFT JOIN storage_objects o ON o.version = s.version \
         LEFT JOIN storage_object_versions v ON v.version = s.version WHERE {segments}) \
         UNION ALL SELECT * FROM (SELECT p.blob_key, p.provider, p.size, p.sha256, m.bucket_id, m.path, NULL \
         FROM multipart_parts p CROSS JOIN multipart_uploads m ON m.id = p.upload_id WHERE {parts}) \
         UNION ALL SELECT * FROM (SELECT c.blob_key, c.provider, c.size, s.sha256, coalesce(o.bucket_id, v.bucket_id), \
         coalesce(o.path, v.path), c.copy_of \
         FROM (SELECT copy_key AS blob_key, provider, size, blob_key AS copy_of FROM blob_copies) c \
         CROSS JOIN storage_segments s ON s.blob_key = c.copy_of LEFT JOIN storage_objects o ON o.version = s.version \
         LEFT JOIN storage_object_versions v ON v.version = s.version WHERE {copies}))"
    )
}

fn blob(row: &Row<'_>) -> Result<ReferredBlob, Fault> {
    Ok(ReferredBlob {
        key: blob_key(row, 0)?,
        provider: str(row, 1)?.into(),
        size: count(row, 2)?,
        sha256: digest(row, 3)?,
        bucket: BucketName::parse(str(row, 4)?)?,
        path: ObjectPath::parse(str(row, 5)?)?,
        copy_of: row.get::<_, Option<String>>(6)?.map(|key| known(&key)).transpose()?,
    })
}

fn known(key: &str) -> Result<BlobKey, Fault> {
    BlobKey::from_stored(key).ok_or_else(|| Fault::corrupt("blob key"))
}

/// A page of blobs by their keys. It is as long as what is looked at, so that each takes a moment, however few of them are of the
/// bucket.
pub(super) fn page(
    conn: &Connection,
    access: &Access,
    scope: &ScrubScope,
    after: Option<&BlobKey>,
    limit: u32,
) -> Result<BlobPage, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let condition = match scope.provider {
        // Of each table, an index has it.
        Some(_) => "t.provider = :provider AND t.blob_key > :after ORDER BY t.blob_key LIMIT :limit",
        None => "t.blob_key > :after AND :provider IS NULL ORDER BY t.blob_key LIMIT :limit",
    };
    let mut statement =
        conn.prepare_cached(&format!("{} ORDER BY blob_key LIMIT :limit", referred(condition)))?;
    let mut rows = statement.query(named_params! {
        ":provider": scope.provider.as_deref(), ":after": after.map_or("", BlobKey::as_str), ":limit": limit,
    })?;
    let (mut page, mut looked_at, mut last) = (BlobPage::default(), 0_u32, None);
    while let Some(row) = rows.next()? {
        let blob = blob(row)?;
        looked_at = looked_at.saturating_add(1);
        last = Some(blob.key.clone());
        if scope.bucket.as_ref().is_none_or(|bucket| *bucket == blob.bucket) {
            page.blobs.push(blob);
        }
    }
    page.next = last.filter(|_| looked_at >= limit);
    Ok(page)
}

/// What rows say of one blob.
pub(super) fn show(conn: &Connection, access: &Access, key: &BlobKey) -> Result<Option<ReferredBlob>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let mut statement = conn.prepare_cached(&referred("t.blob_key = :key"))?;
    let mut rows = statement.query(named_params! { ":key": key.as_str() })?;
    rows.next()?.map(blob).transpose()
}

/// A page of segments by their rows, those that have their bytes with them.
pub(super) fn inline(
    conn: &Connection,
    access: &Access,
    bucket: Option<&BucketName>,
    after: Option<SegmentRow>,
    limit: u32,
) -> Result<InlinePage, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let mut statement = conn.prepare_cached(
        "SELECT s.version, s.ordinal, s.bytes, s.sha256, coalesce(o.bucket_id, v.bucket_id), coalesce(o.path, v.path) \
         FROM (SELECT version, ordinal, bytes, sha256 FROM storage_segments \
             WHERE (version, ordinal) > (:version, :ordinal) ORDER BY version, ordinal LIMIT :limit) s \
         LEFT JOIN storage_objects o ON o.version = s.version \
         LEFT JOIN storage_object_versions v ON v.version = s.version ORDER BY s.version, s.ordinal",
    )?;
    let mut rows = statement.query(named_params! {
        ":version": after.map(|after| text(after.version)).unwrap_or_default(),
        ":ordinal": after.map_or(0, |after| after.ordinal), ":limit": limit,
    })?;
    let (mut page, mut looked_at, mut last) = (InlinePage::default(), 0_u32, None);
    while let Some(row) = rows.next()? {
        looked_at = looked_at.saturating_add(1);
        let ordinal = u32::try_from(count(row, 1)?).unwrap_or(u32::MAX);
        let at = SegmentRow { version: uuid(row, 0)?, ordinal };
        last = Some(at);
        let Some(bytes) = row.get::<_, Option<Vec<u8>>>(2)? else { continue };
        let of = BucketName::parse(str(row, 4)?)?;
        if bucket.is_none_or(|bucket| *bucket == of) {
            let (sha256, path) = (digest(row, 3)?, ObjectPath::parse(str(row, 5)?)?);
            page.segments.push(InlineSegment { row: at, bytes: bytes.into(), sha256, bucket: of, path });
        }
    }
    page.next = last.filter(|_| looked_at >= limit);
    Ok(page)
}
