//! What every engine says in an entry of the upload queue: of a blob that a write displaces, and of attempts to bring it home.

use std::time::Duration;

use uuid::Uuid;

use super::Home;
use crate::bucket::BucketName;
use crate::file::{BlobKey, Place};
use crate::multipart::MultipartUpload;
use crate::path::ObjectPath;
use crate::permissions::Access;

/// A blob that is not where it belongs, as a write makes it known.
pub(super) struct Displaced<'a> {
    /// Where it belongs.
    pub(super) home: &'a Home,
    /// The provider that has it.
    pub(super) source: &'a str,
    /// The blob.
    pub(super) key: &'a BlobKey,
    /// Its length, in bytes.
    pub(super) size: u64,
}

impl<'a> Displaced<'a> {
    /// What of a run of bytes is to be elsewhere. Bytes that are inline are no blob, and stay.
    pub(super) fn of(belongs: Option<&'a Home>, place: &'a Place, size: u64) -> Option<Self> {
        match (belongs, place) {
            (Some(home), Place::Blob { provider, key }) => Some(Self { home, source: provider, key, size }),
            (Some(_), Place::Inline(_)) | (None, _) => None,
        }
    }
}

/// What an entry says of the object, or upload, that its blob is of.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    /// Who writes it.
    pub(super) user: Option<Uuid>,
    /// Its bucket.
    pub(super) bucket: &'a BucketName,
    /// Its path.
    pub(super) path: &'a ObjectPath,
    /// Its content type.
    pub(super) content_type: &'a str,
}

impl<'a> About<'a> {
    /// What is said of an unfinished upload.
    pub(super) fn upload(access: &Access, upload: &'a MultipartUpload) -> Self {
        Self {
            user: access.context().user_id(),
            bucket: &upload.at.bucket,
            path: &upload.at.path,
            content_type: &upload.attributes.content_type,
        }
    }
}

/// What an entry says that was given up as its last worker ended without a word.
pub(super) const WORKER_ENDED: &str = "the server that copied it ended";

/// What an entry says that an operator gave up.
pub(super) const CANCELLED: &str = "it was cancelled";

/// Most bytes of what an entry says of an attempt.
const MOST_WORDS: usize = 1024;

/// What an entry says of an attempt, as rows can hold it.
pub(super) fn words(error: &str) -> String {
    let mut words = error.replace('\0', "");
    words.truncate(words.floor_char_boundary(MOST_WORDS));
    words
}

/// The longest time that engines are asked to add to now: a century.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A time in microseconds, as engines add them.
pub(super) fn span(time: Duration) -> i64 {
    i64::try_from(time.min(LONGEST).as_micros()).unwrap_or(i64::MAX)
}
