//! Making an object visible whose bytes are stored: created, or in place of another.

use rusqlite::{Connection, named_params};
use uuid::Uuid;

use super::errors::Fault;
use super::ledger::{Change, count_for_owner, count_in_bucket, fits_in_bucket};
use super::rls::text;
use super::rows::{int, micros, now, uuid};
use super::rules::Rules;
use super::{decide, events, history, queue};
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::Written;
use crate::executor::decide::Target;
use crate::executor::displaced::{About, Displaced};
use crate::executor::proposal::Proposed;
use crate::extra::ObjectExtra;
use crate::file::{NewObject, Place, PutMode, Segment, StorageObject};
use crate::permissions::Access;
use crate::permissions::policy::Candidate;

/// Writes an object, which is the caller's where it is new.
pub(super) fn put(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    new: NewObject,
    mode: &PutMode,
) -> Result<Written, Fault> {
    put_for(conn, rules, access, access.context().user_id(), new, mode)
}

/// Writes an object, which is a user's where it is new.
pub(super) fn put_for(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    owner: Option<Uuid>,
    new: NewObject,
    mode: &PutMode,
) -> Result<Written, Fault> {
    let admitted = admit(conn, rules, access, &new, mode)?;
    write(conn, (rules, access), owner, new, admitted)
}

/// An object that may be written, and what it meets.
pub(super) struct Admitted {
    id: Uuid,
    now: Timestamp,
    target: Target,
}

/// Decides whether an object may be written, and changes nothing.
pub(super) fn admit(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    new: &NewObject,
    mode: &PutMode,
) -> Result<Admitted, Fault> {
    let (id, now) = (Uuid::now_v7(), now());
    let candidate = Candidate::stored(new, id, now);
    let proposed = Proposed::Own(&candidate);
    let target = decide::write(conn, rules, access, (&new.bucket, &new.path), mode, proposed, now)?;
    match target.bucket.uuid == new.bucket_uuid {
        true => Ok(Admitted { id, now, target }),
        false => Err(StorageError::BucketNotFound { bucket: new.bucket.clone() }.into()),
    }
}

/// Writes an object that was let in.
pub(super) fn write(
    conn: &Connection,
    (rules, access): (&Rules, &Access),
    owner: Option<Uuid>,
    new: NewObject,
    Admitted { id, now, mut target }: Admitted,
) -> Result<Written, Fault> {
    let versioning = target.bucket.config.versioning;
    let at = (&new.bucket, &new.path);
    let freed = history::make_way(conn, (rules, access.context()), versioning, at, now)?;
    target.bucket.total_bytes = target.bucket.total_bytes.saturating_sub(freed);
    let existing = target.existing.as_ref();
    let object = StorageObject {
        id: existing.map_or(id, |old| old.id),
        bucket: new.bucket,
        path: new.path,
        size: new.size,
        content_type: new.attributes.content_type,
        cache_control: new.attributes.cache_control,
        checksum: new.checksum,
        etag: new.etag,
        owner_id: match existing {
            Some(old) => old.owner_id,
            None => owner,
        },
        metadata: new.attributes.metadata,
        extra: new.attributes.extra,
        version: new.version,
        versioned: versioning.makes_versions(),
        created_at: existing.map_or(now, |old| old.created_at),
        updated_at: now,
    };
    let change = Change {
        files: i64::from(existing.is_none()),
        added: object.size,
        returned: match existing {
            Some(old) => history::replace(conn, versioning, old, now)?,
            None => 0,
        },
    };
    fits_in_bucket(conn, &target.bucket, change)?;
    store(conn, &object)?;
    for (ordinal, segment) in (0_i64..).zip(&new.segments) {
        link(conn, object.version, ordinal, segment)?;
    }
    let about = About {
        user: access.context().user_id(),
        bucket: &object.bucket,
        path: &object.path,
        content_type: &object.content_type,
    };
    for segment in &new.segments {
        if let Some(blob) = Displaced::of(segment.belongs.as_ref(), &segment.place, segment.size) {
            queue::add(conn, about, &blob, now)?;
        }
    }
    if !new.segments.is_empty() {
        queue::add_copies(conn, about, object.version, &new.copies, now)?;
    }
    count_in_bucket(conn, object.bucket.as_str(), change)?;
    count_for_owner(conn, object.owner_id, object.bucket.as_str(), change, now)?;
    let created = existing.is_none();
    let kind = if created { "storage.object.created" } else { "storage.object.updated" };
    events::object(conn, kind, &object, &[], now)?;
    Ok(Written { object, created, queued: Segment::deferred(&new.segments) })
}

/// The physical identity of a bucket that is there.
pub(super) fn bucket_uuid(conn: &Connection, bucket: &BucketName) -> Result<Uuid, Fault> {
    let mut statement = conn.prepare_cached("SELECT uuid FROM storage_buckets WHERE id = :bucket")?;
    let mut rows = statement.query(named_params! { ":bucket": bucket.as_str() })?;
    match rows.next()? {
        Some(row) => uuid(row, 0),
        None => Err(StorageError::BucketNotFound { bucket: bucket.clone() }.into()),
    }
}

/// Inserts an object's row, or replaces what an overwrite changes of it.
fn store(conn: &Connection, object: &StorageObject) -> Result<(), Fault> {
    let metadata = if object.metadata.is_empty() {
        "{}".to_owned()
    } else {
        serde_json::Value::Object(object.metadata.clone()).to_string()
    };
    conn.prepare_cached(
        "INSERT INTO storage_objects (id, bucket_id, path, size, content_type, cache_control, checksum, etag, \
         owner_id, metadata, version, created_at, updated_at, extra, versioned) \
         VALUES (:id, :bucket, :path, :size, :type, :cache, :checksum, :etag, :owner, :metadata, :version, \
         :created, :updated, :extra, :versioned) \
         ON CONFLICT (bucket_id, path) DO UPDATE SET size = excluded.size, \
         content_type = excluded.content_type, cache_control = excluded.cache_control, \
         checksum = excluded.checksum, etag = excluded.etag, metadata = excluded.metadata, \
         version = excluded.version, updated_at = excluded.updated_at, extra = excluded.extra, \
         versioned = excluded.versioned",
    )?
    .execute(named_params! {
        ":id": text(object.id), ":bucket": object.bucket.as_str(), ":path": object.path.as_str(),
        ":size": int(object.size), ":type": object.content_type, ":cache": object.cache_control,
        ":checksum": object.checksum.map(|checksum| checksum.to_hex()), ":etag": object.etag, ":owner": object.owner_id.map(text),
        ":metadata": metadata, ":version": text(object.version),
        ":created": micros(object.created_at), ":updated": micros(object.updated_at),
        ":extra": extra(&object.extra), ":versioned": object.versioned,
    })?;
    Ok(())
}

/// What S3 keeps beside a row, as the database has it.
pub(super) fn extra(extra: &ObjectExtra) -> Option<String> {
    // It always serializes: texts under texts.
    (!extra.is_empty()).then(|| serde_json::to_string(extra).unwrap_or_default())
}

/// Writes down where a run of a version's bytes is.
fn link(conn: &Connection, version: Uuid, ordinal: i64, segment: &Segment) -> Result<(), Fault> {
    let (provider, key, bytes) = match &segment.place {
        Place::Inline(bytes) => (None, None, Some(bytes.as_ref())),
        Place::Blob { provider, key } => (Some(provider.as_ref()), Some(key.as_str()), None),
    };
    conn.prepare_cached(
        "INSERT INTO storage_segments (version, ordinal, \"offset\", size, sha256, provider, blob_key, bytes) \
         VALUES (:version, :ordinal, :offset, :size, :sha256, :provider, :key, :bytes)",
    )?
    .execute(named_params! {
        ":version": text(version), ":ordinal": ordinal, ":offset": int(segment.offset),
        ":size": int(segment.size), ":sha256": segment.sha256.to_hex(),
        ":provider": provider, ":key": key, ":bytes": bytes,
    })?;
    Ok(())
}
