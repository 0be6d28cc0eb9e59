//! A part that is a range of another object.

use std::ops::Range;

use super::PartBody;
use crate::body::from_bytes;
use crate::bucket::BucketName;
use crate::digests::Wanted;
use crate::errors::StorageError;
use crate::multipart::{Part, UploadAt};
use crate::path::ObjectPath;
use crate::permissions::{Operation, RlsContext};
use crate::storage::{Download, DownloadBody, FileStorage};
use crate::versions::VersionId;

/// What a copied part is made of.
#[derive(Debug, Clone)]
pub struct PartSource<'a> {
    /// The bucket to read from.
    pub bucket: &'a BucketName,
    /// The object to read.
    pub path: &'a ObjectPath,
    /// A version of it; `None` reads the current one.
    pub version: Option<VersionId>,
    /// The bytes to take, which must all be there; `None` takes all of them.
    pub range: Option<Range<u64>>,
}

impl FileStorage {
    /// Takes in a part that is an object, or a range of one that lies within it. The caller must be allowed to read it.
    /// `inspect` looks at the source before its bytes are read, for conditions on it.
    ///
    /// # Errors
    /// Those of reading the source and of [`FileStorage::upload_part`].
    pub async fn copy_part(
        &self,
        context: &RlsContext,
        from: PartSource<'_>,
        to: (&UploadAt, u32),
        inspect: impl FnOnce(&Download) -> Result<(), StorageError> + Send,
        wanted: Wanted,
    ) -> Result<Part, StorageError> {
        let upload = self.multipart(context, to.0).await?;
        let mode = upload.mode();
        let access = self.access(context, Operation::CopyPart(&mode), Some(&to.0.bucket)).await?;
        let source = self.open_version_or_current(&access, from.bucket, from.path, from.version).await?;
        inspect(&source)?;
        let size = source.object().size;
        let range = from.range.unwrap_or(0..size);
        if range.start >= range.end && size > 0 || range.end > size {
            return Err(StorageError::InvalidRange { size });
        }
        let length = Some(range.end - range.start);
        let bytes = match source.open_body(Some(range)).await? {
            DownloadBody::Bytes(bytes) => from_bytes(bytes),
            DownloadBody::Stream(stream) => stream,
        };
        self.take_in_part(&access, &upload, to.1, PartBody { bytes, length, wanted }).await
    }
}
