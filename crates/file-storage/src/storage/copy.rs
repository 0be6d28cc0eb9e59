//! Copying an object: a second row, and second blobs of the same bytes.

use uuid::Uuid;

use super::FileStorage;
use super::blobs::{PlacedBlob, Unwanted};
use super::download::Download;
use super::leases::Lease;
use crate::bucket::{Bucket, BucketName};
use crate::errors::StorageError;
use crate::executor::{Announced, Written};
use crate::extra::ObjectExtra;
use crate::file::{BlobKey, NewObject, ObjectAttributes, PutMode, Segment};
use crate::path::ObjectPath;
use crate::permissions::{Operation, RlsContext};
use crate::versions::VersionId;

/// What a copy says differently from its source. `None` keeps the source's.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CopyOptions {
    /// Another content type.
    pub content_type: Option<String>,
    /// Another `Cache-Control`.
    pub cache_control: Option<String>,
    /// Other metadata, in place of all of the source's.
    pub metadata: Option<serde_json::Map<String, serde_json::Value>>,
    /// Other headers and tags, in place of the source's. Its checksums and parts are those of the bytes, and stay.
    pub extra: Option<ObjectExtra>,
    /// The version that the source must still have: the one that was looked at.
    pub source_version: Option<Uuid>,
    /// Which version is copied; the current one where none is named.
    pub version: Option<VersionId>,
    /// Nothing of what the source says is kept: what is not said here is not said at all.
    pub replaces_all: bool,
}

impl FileStorage {
    /// Copies an object to another path or bucket. The copy belongs to the caller.
    ///
    /// # Errors
    /// Those of reading the source and of writing the target; the target bucket's limits hold.
    pub async fn copy(
        &self,
        context: &RlsContext,
        from: (&BucketName, &ObjectPath),
        to: (&BucketName, &ObjectPath),
        mode: PutMode,
        options: CopyOptions,
    ) -> Result<Written, StorageError> {
        let access = self.access(context, Operation::Copy(&mode), Some(to.0)).await?;
        let source = self.open_version_or_current(&access, from.0, from.1, options.version).await?;
        if options.source_version.is_some_and(|version| version != source.object().version) {
            let (bucket, path) = (from.0.clone(), from.1.clone());
            return Err(StorageError::PreconditionFailed { bucket, path });
        }
        let attributes = options.over(&source);
        let announced = Announced::known(&attributes, source.object().size);
        let admission = self.executor().admit_put(&access, to.0, to.1, &mode, &announced).await?;
        self.check_limits(&admission, &attributes.content_type, source.object().size)?;
        let (object, lease) = self.copied(&source, attributes, &admission.bucket, to).await?;
        self.commit(access, object, mode, lease).await
    }

    /// What a copy will be, its bytes being stored.
    pub(super) async fn copied(
        &self,
        source: &Download,
        attributes: ObjectAttributes,
        bucket: &Bucket,
        to: (&BucketName, &ObjectPath),
    ) -> Result<(NewObject, Lease), StorageError> {
        let (segments, lease) = self.copy_segments(source, bucket).await?;
        let object = NewObject {
            bucket_uuid: bucket.uuid,
            bucket: to.0.clone(),
            path: to.1.clone(),
            attributes,
            size: source.object().size,
            checksum: source.object().checksum,
            etag: source.object().etag.clone(),
            version: Uuid::now_v7(),
            segments,
            copies: self.copies_of_new(),
        };
        Ok((object, lease))
    }

    /// Makes second blobs, each where its source is; they belong where new ones would. Those of a copy that fails half-way
    /// are deleted again.
    async fn copy_segments(
        &self,
        source: &Download,
        bucket: &Bucket,
    ) -> Result<(Vec<Segment>, Lease), StorageError> {
        let mut copies = Vec::with_capacity(source.segments().len());
        let mut lease = self.inner.leases.hold(Vec::new());
        let mut made = Unwanted { storage: self, blobs: Vec::new() };
        for segment in source.segments() {
            copies.push(self.copy_segment(source, segment.clone(), bucket, &mut lease, &mut made).await?);
        }
        made.blobs.clear();
        Ok((copies, lease))
    }

    async fn copy_segment(
        &self,
        source: &Download,
        mut segment: Segment,
        bucket: &Bucket,
        lease: &mut Lease,
        made: &mut Unwanted<'_>,
    ) -> Result<Segment, StorageError> {
        let mut moves = 0;
        loop {
            let Some(from) = PlacedBlob::of(&segment.place) else { return Ok(segment) };
            let to = PlacedBlob { provider: from.provider, key: BlobKey::new(bucket.uuid) };
            lease.extend(to.key.clone());
            self.hit("copy.before_blob").await?;
            made.blobs.push(to.clone());
            match self.copy_blob(&from.key, &to).await {
                Ok(()) => {
                    return Ok(Segment { place: to.place(), belongs: self.home_of(&to.provider), ..segment });
                }
                Err(error) => {
                    moves += 1;
                    segment = source.reader().follow(&segment, &error, moves).await.ok_or(error)?;
                }
            }
        }
    }
}

impl CopyOptions {
    pub(super) fn over(self, source: &Download) -> ObjectAttributes {
        let object = source.object();
        ObjectAttributes {
            content_type: self.content_type.unwrap_or_else(|| object.content_type.clone()),
            cache_control: match self.cache_control {
                None if !self.replaces_all => object.cache_control.clone(),
                said => said,
            },
            metadata: self.metadata.unwrap_or_else(|| object.metadata.clone()),
            extra: match self.extra {
                Some(extra) => ObjectExtra {
                    checksums: object.extra.checksums.clone(),
                    parts: object.extra.parts.clone(),
                    ..extra
                },
                None => object.extra.clone(),
            },
        }
    }
}
