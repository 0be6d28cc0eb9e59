//! The model of an upload in several pieces: what it is before it is an object, and of which parts it is made.
//!
//! Two protocols end here. S3 sends numbered parts in any order and names those that count; TUS appends one run of bytes
//! after the other. Both leave parts, which become the object's segments when the upload is completed: no byte is copied.

use uuid::Uuid;

use crate::Timestamp;
use crate::bucket::BucketName;
use crate::digests::{Checksums, ObjectChecksum};
use crate::errors::StorageError;
use crate::executor::{Copies, Home};
use crate::extra::ObjectExtra;
use crate::file::{ObjectAttributes, Place, PutMode, Segment, Sha256};
use crate::path::ObjectPath;
use crate::permissions::Role;

/// Highest number of a part.
pub const MAX_PART_NUMBER: u32 = 10_000;

/// Most bytes of one part.
pub const MAX_PART_SIZE: u64 = 5 << 30;

/// Which upload is meant. Whoever names an upload names its object, too: both must fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadAt {
    /// The object's bucket.
    pub bucket: BucketName,
    /// The object's path.
    pub path: ObjectPath,
    /// The upload. Random, so that who does not know it can't guess it.
    pub id: Uuid,
}

/// An upload that is not known any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoneUpload {
    /// Which.
    pub at: UploadAt,
    /// Whether it had become an object, so that nothing went but the memory of it; else it was given up.
    pub ended: bool,
}

/// An upload that is not an object yet (SPEC 4, `multipart_uploads`).
#[derive(Debug, Clone, PartialEq)]
pub struct MultipartUpload {
    /// Its identity, and the object that it will be.
    pub at: UploadAt,
    /// Role of who began it. Who has the same role and user goes on with it, and the service role.
    pub role: Role,
    /// User who began it; the parts count as theirs.
    pub owner_id: Option<Uuid>,
    /// Whether it may replace an object.
    pub replaces: bool,
    /// The nonce of the single-use token by which it was begun, and by which alone a token's holder goes on with it.
    pub nonce: Option<Uuid>,
    /// What was said of the object.
    pub attributes: ObjectAttributes,
    /// The checksum that the object is to have.
    pub checksum: Option<ObjectChecksum>,
    /// Bytes of its parts.
    pub held_bytes: u64,
    /// What it is as one that is appended to.
    pub resumable: Option<Resumable>,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it is given up, unless something comes before that.
    pub expires_at: Timestamp,
}

/// What is kept of an upload that is appended to (SPEC 4, `resumable_uploads`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumable {
    /// Bytes it will have, where that was said.
    pub length: Option<u64>,
    /// Bytes that are durable: where the next ones go.
    pub offset: u64,
    /// Counts who took it over: only the last one's bytes are taken.
    pub epoch: u64,
    /// Whether it only becomes a part of another one's object.
    pub is_partial: bool,
    /// What the client sent as metadata, as it sent it.
    pub told: String,
    /// When it became an object, if it did.
    pub completed_at: Option<Timestamp>,
}

impl MultipartUpload {
    /// The mode in which it writes, unless its completion says otherwise.
    pub fn mode(&self) -> PutMode {
        if self.replaces { PutMode::Upsert } else { PutMode::Create }
    }

    /// Where it goes on as one that is appended to.
    ///
    /// # Errors
    /// [`StorageError::UploadNotFound`] where it is not such a one.
    pub fn resumable(&self) -> Result<&Resumable, StorageError> {
        self.resumable.as_ref().ok_or(StorageError::UploadNotFound { upload: self.at.id })
    }
}

/// An upload to be begun.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMultipart {
    /// Its identity and its object.
    pub at: UploadAt,
    /// The bucket, as it was when the upload was admitted.
    pub bucket_uuid: Uuid,
    /// What is said of the object.
    pub attributes: ObjectAttributes,
    /// The checksum that the object is to have.
    pub checksum: Option<ObjectChecksum>,
    /// What it is as one that is appended to.
    pub resumable: Option<NewResumable>,
    /// The nonce of the single-use token by which it is begun.
    pub nonce: Option<Uuid>,
    /// How many uploads the caller may have unfinished in the bucket, this one counted. The service role may have any number.
    pub most_unfinished: u32,
    /// When it is given up.
    pub expires_at: Timestamp,
}

/// What a client says of an upload that is appended to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewResumable {
    /// Bytes it will have, where that is known.
    pub length: Option<u64>,
    /// Whether it only becomes a part of another one's object.
    pub is_partial: bool,
    /// The client's metadata, as it was sent.
    pub told: String,
}

/// A part that is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Its number, by which parts are ordered.
    pub number: u32,
    /// Its length, in bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
    /// Its entity tag, without quotes: the MD5 in hexadecimal where that was asked for, else the SHA-256.
    pub etag: String,
    /// Further digests that were asked for.
    pub checksums: Checksums,
    /// When it was stored.
    pub created_at: Timestamp,
}

/// A part whose bytes are stored, about to be known.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPart {
    /// Its length, in bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// Further digests that were asked for.
    pub checksums: Checksums,
    /// Where its bytes are.
    pub place: Place,
    /// Where they belong, if that is elsewhere.
    pub belongs: Option<Home>,
}

/// A part as a completion names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedPart {
    /// Its number.
    pub number: u32,
    /// Its entity tag, without quotes; `None` takes what is there.
    pub etag: Option<String>,
    /// Checksums that it must have, as they are kept.
    pub checksums: Checksums,
}

/// A run of bytes that is appended to an upload.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// By whom, among those who took the upload over.
    pub epoch: u64,
    /// Where it begins.
    pub offset: u64,
    /// How many of the last parts it takes in: its bytes are theirs and more.
    pub takes_in: u32,
    /// The run, with the bytes of the parts that it takes in.
    pub part: NewPart,
}

/// An upload that somebody has taken over, and what of it still waits to be part of a larger run.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The upload, with the epoch of who has it now.
    pub upload: MultipartUpload,
    /// The last parts, as far back as they are inline.
    pub tail: Vec<Segment>,
}

/// What makes an object of an upload.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// Which of its parts it is made of.
    pub parts: Chosen,
    /// How it meets what is at the path.
    pub mode: PutMode,
    /// Identity of the object's bytes.
    pub version: Uuid,
    /// What S3 keeps of the object, with what is known of its parts.
    pub extra: ObjectExtra,
    /// Least bytes of every part but the last.
    pub min_part_size: u64,
    /// Most bytes of all of them.
    pub max_size: Option<u64>,
    /// Where copies of the object's blobs are to be kept.
    pub copies: Copies,
}

/// Which parts an object is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// These, of an upload in numbered parts.
    Listed(Vec<ListedPart>),
    /// All there are, of one that was appended to, for whoever took it over last.
    Appended {
        /// As of which taking over.
        epoch: u64,
    },
    /// All of these other uploads, one after the other.
    Concatenated(Vec<UploadAt>),
}

/// A page of uploads, by path and then by age.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UploadListing {
    /// Only uploads to paths that start so.
    pub prefix: String,
    /// After this path, or after this upload to it.
    pub after: Option<(String, Option<Uuid>)>,
    /// Most uploads of the page.
    pub limit: u32,
}

/// What a list of uploads shows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UploadPage {
    /// Uploads, by path and then by age.
    pub uploads: Vec<MultipartUpload>,
    /// Folders that stand for the uploads below them, with their delimiter.
    pub folders: Vec<String>,
    /// Whether there are more.
    pub is_truncated: bool,
    /// After what the next page begins.
    pub next: Option<(String, Option<Uuid>)>,
}

impl UploadPage {
    /// How many entries it has: uploads, and folders.
    pub fn count(&self) -> u32 {
        u32::try_from(self.uploads.len().saturating_add(self.folders.len())).unwrap_or(u32::MAX)
    }
}
