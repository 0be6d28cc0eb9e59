//! Rows as PostgreSQL answers them, and the values in them, in the order of the columns that every engine shares.

use serde_json::{Map, Value};
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::errors::Fault;
use crate::bucket::{Bucket, BucketConfig, BucketName, BucketPolicy, MimePattern};
use crate::file::{BlobKey, Place, Segment, Sha256, StorageObject};
use crate::path::ObjectPath;
use crate::versions::Versioning;

pub(super) use crate::executor::columns::{
    BUCKET, BUCKET_WIDTH, OBJECT, OBJECT_WIDTH, SEGMENT, VERSION, int, now,
};

/// A bucket, whose columns start at `at`.
pub(super) fn bucket(row: &Row, at: usize) -> Result<Bucket, Fault> {
    let mimes: Option<Vec<&str>> = row.try_get(at + 4)?;
    let allowed_mime_types =
        mimes.map(|mimes| mimes.into_iter().map(MimePattern::parse).collect()).transpose()?;
    let config = BucketConfig {
        policy: BucketPolicy::from_word(row.try_get(at + 3)?).ok_or_else(|| Fault::corrupt("policy"))?,
        allowed_mime_types,
        max_file_size: count(row, at + 5)?,
        quota_bytes: opt_count(row, at + 6)?,
        versioning: Versioning::from_word(row.try_get(at + 12)?)
            .ok_or_else(|| Fault::corrupt("versioning"))?,
    };
    Ok(Bucket {
        name: BucketName::parse(row.try_get(at)?)?,
        uuid: row.try_get(at + 1)?,
        owner_id: row.try_get(at + 2)?,
        config,
        file_count: count(row, at + 7)?,
        total_bytes: count(row, at + 8)?,
        unfinished_bytes: count(row, at + 11)?,
        created_at: row.try_get(at + 9)?,
        updated_at: row.try_get(at + 10)?,
    })
}

/// An object, whose columns start at `at`.
pub(super) fn object(row: &Row, at: usize) -> Result<StorageObject, Fault> {
    let bucket = BucketName::parse(row.try_get(at + 1)?)?;
    let path = ObjectPath::parse(row.try_get(at + 2)?)?;
    object_at(row, at, &bucket, &path)
}

/// An object of which bucket and path are known: they are shared, not made again.
pub(super) fn object_at(
    row: &Row,
    at: usize,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<StorageObject, Fault> {
    let Json(metadata): Json<Map<String, Value>> = row.try_get(at + 9)?;
    Ok(StorageObject {
        id: row.try_get(at)?,
        bucket: bucket.clone(),
        path: path.clone(),
        size: count(row, at + 3)?,
        content_type: row.try_get(at + 4)?,
        cache_control: row.try_get(at + 5)?,
        checksum: opt_digest(row, at + 6)?,
        etag: row.try_get(at + 7)?,
        owner_id: row.try_get(at + 8)?,
        metadata,
        version: row.try_get(at + 10)?,
        created_at: row.try_get(at + 11)?,
        updated_at: row.try_get(at + 12)?,
        extra: extra(row, at + 13)?,
        versioned: row.try_get(at + 14)?,
    })
}

/// What is kept as JSON, or nothing of it.
pub(super) fn extra<T: serde::de::DeserializeOwned + Default>(row: &Row, at: usize) -> Result<T, Fault> {
    let found: Option<Json<T>> = row.try_get(at)?;
    Ok(found.map(|Json(extra)| extra).unwrap_or_default())
}

/// Whether an outer join found something, by a column that is never NULL else.
pub(super) fn is_there(row: &Row, at: usize) -> Result<bool, Fault> {
    Ok(row.try_get::<_, Option<uuid::Uuid>>(at)?.is_some())
}

/// A segment, whose columns start at `at`; `None` where an outer join found none.
pub(super) fn segment(row: &Row, at: usize) -> Result<Option<Segment>, Fault> {
    let Some(offset) = opt_count(row, at)? else { return Ok(None) };
    let place = match row.try_get::<_, Option<&[u8]>>(at + 5)? {
        Some(bytes) => Place::Inline(bytes::Bytes::copy_from_slice(bytes)),
        None => Place::Blob { provider: row.try_get::<_, &str>(at + 3)?.into(), key: blob_key(row, at + 4)? },
    };
    Ok(Some(Segment {
        offset,
        size: count(row, at + 1)?,
        sha256: digest(row, at + 2)?,
        place,
        belongs: None,
    }))
}

/// The name of a blob.
pub(super) fn blob_key(row: &Row, at: usize) -> Result<BlobKey, Fault> {
    BlobKey::from_stored(row.try_get(at)?).ok_or_else(|| Fault::corrupt("blob key"))
}

/// A number that is not negative.
pub(super) fn count(row: &Row, at: usize) -> Result<u64, Fault> {
    u64::try_from(row.try_get::<_, i64>(at)?).map_err(|_| Fault::corrupt("counter"))
}

/// A number that is not negative, or NULL.
pub(super) fn opt_count(row: &Row, at: usize) -> Result<Option<u64>, Fault> {
    let value: Option<i64> = row.try_get(at)?;
    value.map(|value| u64::try_from(value).map_err(|_| Fault::corrupt("counter"))).transpose()
}

/// A digest.
pub(super) fn digest(row: &Row, at: usize) -> Result<Sha256, Fault> {
    Sha256::from_hex(row.try_get::<_, &str>(at)?).ok_or_else(|| Fault::corrupt("digest"))
}

/// A digest, or NULL.
pub(super) fn opt_digest(row: &Row, at: usize) -> Result<Option<Sha256>, Fault> {
    let text: Option<&str> = row.try_get(at)?;
    text.map(|text| Sha256::from_hex(text).ok_or_else(|| Fault::corrupt("digest"))).transpose()
}
