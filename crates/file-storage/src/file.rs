//! The object model: what a file is to its users, and of which segments its bytes are made.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::Timestamp;
use crate::bucket::BucketName;
use crate::executor::{Copies, Home, QueueReason};
use crate::extra::ObjectExtra;
use crate::path::ObjectPath;
use crate::versions::{VersionId, Versioning};

/// An object as its row has it (SPEC 4, `storage_objects`).
#[derive(Debug, Clone, PartialEq)]
pub struct StorageObject {
    /// Identity of the row; survives overwrites and moves.
    pub id: Uuid,
    /// The bucket it is in.
    pub bucket: BucketName,
    /// Its path there, unique in the bucket (FS-I4).
    pub path: ObjectPath,
    /// Its size, in bytes.
    pub size: u64,
    /// The declared content type.
    pub content_type: String,
    /// The `Cache-Control` that downloads carry, where one was given.
    pub cache_control: Option<String>,
    /// SHA-256 of all its bytes; `None` where it was written in pieces, each of which has its own.
    pub checksum: Option<Sha256>,
    /// Strong entity tag, without quotes: equal for equal bytes.
    pub etag: String,
    /// Whose it is; `None` for the service's own.
    pub owner_id: Option<Uuid>,
    /// What the user said about it.
    pub metadata: Map<String, Value>,
    /// What S3 keeps beside that.
    pub extra: ObjectExtra,
    /// Identity of these bytes: another after each overwrite and move.
    pub version: Uuid,
    /// Whether it is a version of its own: else it is the null version, written while its bucket kept none.
    pub versioned: bool,
    /// When the path was first taken.
    pub created_at: Timestamp,
    /// When bytes, path or metadata last changed.
    pub updated_at: Timestamp,
}

impl StorageObject {
    /// The object at its new place.
    pub(crate) fn moved(&self, to: (&BucketName, &ObjectPath), now: Timestamp) -> Self {
        let (bucket, path) = (to.0.clone(), to.1.clone());
        Self { bucket, path, version: Uuid::now_v7(), updated_at: now, ..self.clone() }
    }

    /// The same, in a bucket that does so with versions.
    pub(crate) fn within(self, versioning: Versioning) -> Self {
        Self { versioned: versioning.makes_versions(), ..self }
    }

    /// How this version is named.
    pub fn version_id(&self) -> VersionId {
        VersionId::of(self.version, self.versioned)
    }
}

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// Digest of bytes that are all at hand.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_digest(&aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
    }

    /// What a finished SHA-256 computation gave.
    pub(crate) fn from_digest(digest: &aws_lc_rs::digest::Digest) -> Self {
        let mut bytes = [0; 32];
        // A SHA-256 digest has 32 bytes, so that nothing is cut and nothing stays zero.
        for (to, from) in bytes.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }

    /// The digest as 64 lower-case hexadecimal digits.
    pub fn to_hex(&self) -> String {
        let mut digits = [0; 64];
        // Rather than digit by digit: each row of a list comes through here.
        let _ = hex::encode_to_slice(self.0, &mut digits);
        String::from_utf8_lossy(&digits).into_owned()
    }

    /// The digest of 64 hexadecimal digits.
    pub fn from_hex(digits: impl AsRef<[u8]>) -> Option<Self> {
        let (pairs, []) = digits.as_ref().as_chunks::<2>() else { return None };
        let mut bytes = [0; 32];
        let mut seen = 0;
        // Without a branch per digit: each read of an object comes through here, twice.
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let (high, low) = (nibble(*high), nibble(*low));
            seen |= high | low;
            *byte = (high << 4) | low;
        }
        (pairs.len() == bytes.len() && seen < 16).then_some(Self(bytes))
    }
}

/// The value of a hexadecimal digit; 16 or more for what is none.
const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => u8::MAX,
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// Opaque physical name of a segment: `{bucket uuid}/{2 hex}/{uuid}`. Made by the server alone and never from
/// user input. Only rows and this crate make one, so that a blob is reached only through its row.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobKey(Arc<str>);

impl BlobKey {
    /// A name that nothing has yet, for a segment of an object in the bucket of that uuid.
    pub(crate) fn new(bucket: Uuid) -> Self {
        let id = Uuid::now_v7();
        // The last byte is random, while the first ones are a clock's: it spreads blobs over 256 folders.
        let folder = id.as_bytes().last().copied().unwrap_or_default();
        Self(format!("{bucket}/{folder:02x}/{id}").into())
    }

    /// A name that nothing has yet, for a copy of this blob.
    pub(crate) fn sibling(&self) -> Option<Self> {
        let bucket = self.0.split('/').next()?;
        Some(Self::new(Uuid::try_parse(bucket).ok()?))
    }

    /// The last name that a blob of the same bucket can have.
    pub(crate) fn last_of_bucket(&self) -> Option<Self> {
        let bucket = self.0.split('/').next()?;
        Self::from_stored(&format!("{bucket}/ff/{}", Uuid::max()))
    }

    /// The name as a row, or a provider's listing, has it; `None` where it is no name of ours.
    pub(crate) fn from_stored(name: &str) -> Option<Self> {
        let mut parts = name.split('/');
        let (bucket, folder, id) = (parts.next()?, parts.next()?, parts.next()?);
        let ours = parts.next().is_none()
            && Uuid::try_parse(bucket).is_ok()
            && folder.len() == 2
            && folder.bytes().all(|b| b.is_ascii_hexdigit())
            && Uuid::try_parse(id).is_ok();
        ours.then(|| Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the bytes of a segment are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the metadata database, beside the row.
    Inline(Bytes),
    /// On a provider, as one immutable blob.
    Blob {
        /// Name of the provider.
        provider: Arc<str>,
        /// Name of the blob there.
        key: BlobKey,
    },
}

/// An immutable run of an object's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Where it starts in the object, in bytes.
    pub offset: u64,
    /// Its length, in bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
    /// Where its bytes are.
    pub place: Place,
    /// Where they belong, if that is elsewhere: said by who writes them, and no part of what is read.
    pub belongs: Option<Home>,
}

impl Segment {
    /// The blob that it is, unless its bytes are inline.
    pub fn blob_key(&self) -> Option<&BlobKey> {
        match &self.place {
            Place::Inline(_) => None,
            Place::Blob { key, .. } => Some(key),
        }
    }

    /// The first entry of the upload queue that segments become because nobody wanted to wait for their provider.
    pub(crate) fn deferred(segments: &[Self]) -> Option<Uuid> {
        let homes = segments.iter().filter_map(|segment| segment.belongs.as_ref());
        homes.filter(|home| home.reason == QueueReason::Deferred).map(|home| home.entry).next()
    }
}

/// An object together with the way to its bytes: the handle without which no blob is reachable (FS-I3).
#[derive(Debug, Clone, PartialEq)]
pub struct StoredObject {
    /// The row.
    pub object: StorageObject,
    /// Its bytes, in order and without gaps.
    pub segments: Vec<Segment>,
}

/// What an upload says of an object, before its bytes are known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ObjectAttributes {
    /// The declared content type.
    pub content_type: String,
    /// The `Cache-Control` that downloads shall carry.
    pub cache_control: Option<String>,
    /// What the user says about it.
    pub metadata: Map<String, Value>,
    /// What S3 keeps beside that.
    pub extra: ObjectExtra,
}

/// An object whose bytes are stored, about to become visible.
#[derive(Debug, Clone, PartialEq)]
pub struct NewObject {
    /// The bucket it goes to, as it was when the upload was admitted: one made anew meanwhile is another.
    pub bucket_uuid: Uuid,
    /// The bucket's name.
    pub bucket: BucketName,
    /// The path it takes.
    pub path: ObjectPath,
    /// What the upload said of it.
    pub attributes: ObjectAttributes,
    /// Its size, in bytes.
    pub size: u64,
    /// SHA-256 of all its bytes, where that is known.
    pub checksum: Option<Sha256>,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// Identity of these bytes.
    pub version: Uuid,
    /// Its bytes, in order and without gaps.
    pub segments: Vec<Segment>,
    /// Where copies of them are to be kept.
    pub copies: Copies,
}

/// What a write does where the path is taken, or free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutMode {
    /// Only where the path is free; else `OBJECT_EXISTS`.
    Create,
    /// Whether the path is free or taken: the last write wins.
    Upsert,
    /// Only over an object with one of these tags (RFC 9110, `If-Match`); else `PRECONDITION_FAILED`.
    IfMatch(ETags),
    /// Only where no object with one of these tags is (RFC 9110, `If-None-Match`); else `PRECONDITION_FAILED`.
    IfNoneMatch(ETags),
}

/// A list of entity tags in a condition (RFC 9110, section 8.8.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ETags {
    /// `*`: any tag, as long as there is an object.
    Any,
    /// These tags, without quotes.
    These(Vec<String>),
}

impl ETags {
    /// Whether the tag of an object that is there is among them.
    pub fn contains(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|tag| tag == etag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_64_hexadecimal_digits_and_nothing_else() {
        let digest = Sha256::of(b"hello");
        let text = digest.to_hex();
        assert_eq!(Sha256::from_hex(&text), Some(digest));
        assert_eq!(Sha256::from_hex(text.to_uppercase()), Some(digest));
        for place in [0, 1, 31, 63] {
            for wrong in ["g", "G", "/", ":", "@", "`", " ", "\0", "\u{7f}"] {
                let mut text = text.clone();
                text.replace_range(place..=place, wrong);
                assert_eq!(Sha256::from_hex(&text), None, "{text}");
            }
        }
        for length in [0, 1, 32, 62, 63] {
            assert_eq!(Sha256::from_hex(&text[..length]), None, "{length}");
        }
        assert_eq!(Sha256::from_hex(format!("{text}0")), None);
        assert_eq!(Sha256::from_hex(format!("{text}00")), None);
    }
}
