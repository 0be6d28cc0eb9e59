//! Rows as SQLite has them, and the values in them, in the order of the columns that every engine shares.

use chrono::DateTime;
use rusqlite::Row;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::errors::Fault;
use crate::Timestamp;
use crate::bucket::{Bucket, BucketConfig, BucketName, BucketPolicy, MimePattern};
use crate::file::{BlobKey, Place, Segment, Sha256, StorageObject};
use crate::path::ObjectPath;
use crate::versions::Versioning;

pub(super) use crate::executor::columns::{
    BUCKET, BUCKET_WIDTH, OBJECT, OBJECT_WIDTH, SEGMENT, VERSION, int, now,
};

/// Where the path is among the columns of an object.
pub(super) const OBJECT_PATH: usize = 2;

/// Where the times are among them: of creation, and of the last change.
pub(super) const OBJECT_TIMES: (usize, usize) = (11, 12);

/// A bucket, whose columns start at `at`.
pub(super) fn bucket(row: &Row<'_>, at: usize) -> Result<Bucket, Fault> {
    let mimes: Option<Vec<String>> = match row.get_ref(at + 4)?.as_str_or_null().map_err(engine)? {
        Some(json) => Some(serde_json::from_str(json).map_err(|_| Fault::corrupt("list of MIME types"))?),
        None => None,
    };
    let allowed_mime_types =
        mimes.map(|mimes| mimes.iter().map(|mime| MimePattern::parse(mime)).collect()).transpose()?;
    let config = BucketConfig {
        policy: BucketPolicy::from_word(str(row, at + 3)?).ok_or_else(|| Fault::corrupt("policy"))?,
        allowed_mime_types,
        max_file_size: count(row, at + 5)?,
        quota_bytes: opt_count(row, at + 6)?,
        versioning: Versioning::from_word(str(row, at + 12)?).ok_or_else(|| Fault::corrupt("versioning"))?,
    };
    Ok(Bucket {
        name: BucketName::parse(str(row, at)?)?,
        uuid: uuid(row, at + 1)?,
        owner_id: opt_uuid(row, at + 2)?,
        config,
        file_count: count(row, at + 7)?,
        total_bytes: count(row, at + 8)?,
        unfinished_bytes: count(row, at + 11)?,
        created_at: time(row, at + 9)?,
        updated_at: time(row, at + 10)?,
    })
}

/// An object, whose columns start at `at`.
pub(super) fn object(row: &Row<'_>, at: usize) -> Result<StorageObject, Fault> {
    let bucket = BucketName::parse(str(row, at + 1)?)?;
    let path = ObjectPath::parse(str(row, at + OBJECT_PATH)?)?;
    object_at(row, at, &bucket, &path)
}

/// An object of which bucket and path are known: they are shared, not made again.
pub(super) fn object_at(
    row: &Row<'_>,
    at: usize,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<StorageObject, Fault> {
    Ok(StorageObject {
        id: uuid(row, at)?,
        bucket: bucket.clone(),
        path: path.clone(),
        size: count(row, at + 3)?,
        content_type: row.get(at + 4)?,
        cache_control: row.get(at + 5)?,
        checksum: opt_digest(row, at + 6)?,
        etag: row.get(at + 7)?,
        owner_id: opt_uuid(row, at + 8)?,
        metadata: metadata(row, at + 9)?,
        version: uuid(row, at + 10)?,
        created_at: time(row, at + OBJECT_TIMES.0)?,
        updated_at: time(row, at + OBJECT_TIMES.1)?,
        extra: json(row, at + 13, "extra")?,
        versioned: row.get(at + 14)?,
    })
}

/// A segment, whose columns start at `at`; `None` where an outer join found none.
pub(super) fn segment(row: &Row<'_>, at: usize) -> Result<Option<Segment>, Fault> {
    let Some(offset) = opt_count(row, at)? else { return Ok(None) };
    let place = match row.get_ref(at + 5)?.as_blob_or_null().map_err(engine)? {
        Some(bytes) => Place::Inline(bytes::Bytes::copy_from_slice(bytes)),
        None => Place::Blob { provider: str(row, at + 3)?.into(), key: blob_key(row, at + 4)? },
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
pub(super) fn blob_key(row: &Row<'_>, at: usize) -> Result<BlobKey, Fault> {
    BlobKey::from_stored(str(row, at)?).ok_or_else(|| Fault::corrupt("blob key"))
}

/// A text, borrowed from the row.
pub(super) fn str<'r>(row: &'r Row<'_>, at: usize) -> Result<&'r str, Fault> {
    row.get_ref(at)?.as_str().map_err(engine)
}

/// A text whose reader takes nothing but certain ASCII characters, so that whether it is UTF-8 need not be looked at.
fn ascii<'r>(row: &'r Row<'_>, at: usize) -> Result<&'r [u8], Fault> {
    row.get_ref(at)?.as_bytes().map_err(engine)
}

/// A number that is not negative.
pub(super) fn count(row: &Row<'_>, at: usize) -> Result<u64, Fault> {
    u64::try_from(row.get::<_, i64>(at)?).map_err(|_| Fault::corrupt("counter"))
}

/// A number that is not negative, or NULL.
pub(super) fn opt_count(row: &Row<'_>, at: usize) -> Result<Option<u64>, Fault> {
    let value: Option<i64> = row.get(at)?;
    value.map(|value| u64::try_from(value).map_err(|_| Fault::corrupt("counter"))).transpose()
}

/// A uuid.
pub(super) fn uuid(row: &Row<'_>, at: usize) -> Result<Uuid, Fault> {
    Uuid::try_parse_ascii(ascii(row, at)?).map_err(|_| Fault::corrupt("uuid"))
}

/// A uuid, or NULL.
pub(super) fn opt_uuid(row: &Row<'_>, at: usize) -> Result<Option<Uuid>, Fault> {
    match row.get_ref(at)?.as_bytes_or_null().map_err(engine)? {
        Some(text) => Uuid::try_parse_ascii(text).map(Some).map_err(|_| Fault::corrupt("uuid")),
        None => Ok(None),
    }
}

/// A moment.
pub(super) fn time(row: &Row<'_>, at: usize) -> Result<Timestamp, Fault> {
    DateTime::from_timestamp_micros(row.get(at)?).ok_or_else(|| Fault::corrupt("time"))
}

/// A digest.
pub(super) fn digest(row: &Row<'_>, at: usize) -> Result<Sha256, Fault> {
    Sha256::from_hex(ascii(row, at)?).ok_or_else(|| Fault::corrupt("digest"))
}

/// A digest, or NULL.
pub(super) fn opt_digest(row: &Row<'_>, at: usize) -> Result<Option<Sha256>, Fault> {
    match row.get_ref(at)?.as_bytes_or_null().map_err(engine)? {
        Some(text) => Sha256::from_hex(text).map(Some).ok_or_else(|| Fault::corrupt("digest")),
        None => Ok(None),
    }
}

/// What is kept as JSON, or nothing of it.
pub(super) fn json<T: serde::de::DeserializeOwned + Default>(
    row: &Row<'_>,
    at: usize,
    what: &'static str,
) -> Result<T, Fault> {
    match row.get_ref(at)?.as_str_or_null().map_err(engine)? {
        Some(json) => serde_json::from_str(json).map_err(|_| Fault::corrupt(what)),
        None => Ok(T::default()),
    }
}

/// A JSON object.
pub(super) fn metadata(row: &Row<'_>, at: usize) -> Result<Map<String, Value>, Fault> {
    match str(row, at)? {
        "{}" => Ok(Map::new()),
        json => serde_json::from_str(json).map_err(|_| Fault::corrupt("metadata")),
    }
}

fn engine(error: rusqlite::types::FromSqlError) -> Fault {
    Fault::Engine(error.into())
}

/// A moment as SQLite has it.
pub(super) fn micros(time: Timestamp) -> i64 {
    time.timestamp_micros()
}
