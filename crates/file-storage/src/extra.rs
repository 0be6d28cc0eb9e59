//! What S3's clients say of an object or a bucket beyond what all protocols have: kept, given back by S3, and seen by
//! nobody else; no policy and no query speaks of it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::digests::{Algorithm, Checksums};

/// A tag: its key and its value, in the order in which tags were given.
pub type Tag = (String, String);

/// What else is known of an object.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ObjectExtra {
    /// Headers that a download carries, by their lower-case names: `content-encoding` and its like.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// Further digests of its bytes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checksums: Checksums,
    /// Of which parts it was made, where it was uploaded in numbered ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<OfParts>,
}

/// Of which parts an object was made. Each is a segment, but an empty one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfParts {
    /// The upload that brought them.
    pub upload: Uuid,
    /// How many they are.
    pub count: u32,
    /// Their digests, one behind the other in base64, by the algorithm of the object's checksum. SHA-256 is left out: segments
    /// have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digests: Option<String>,
}

impl OfParts {
    /// The digest of a part, counted from 1, in base64.
    pub fn digest(&self, number: u32, algorithm: Algorithm) -> Option<String> {
        let size = algorithm.digest_bytes();
        let start = usize::try_from(number.checked_sub(1)?).ok()?.checked_mul(size)?;
        let all = BASE64.decode(self.digests.as_ref()?).ok()?;
        all.get(start..start.checked_add(size)?).map(|digest| BASE64.encode(digest))
    }
}

impl ObjectExtra {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What else is known of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BucketExtra {
    /// Which pages may call it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cors: Vec<CorsRule>,
    /// Tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// Which pages may call a bucket, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CorsRule {
    /// What its author calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Origins, each with at most one `*`.
    pub origins: Vec<String>,
    /// Methods.
    pub methods: Vec<String>,
    /// Request headers, each with at most one `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Response headers that pages may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposed: Vec<String>,
    /// Seconds that a browser may remember the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<i32>,
}

/// A change: `None` leaves a part as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct BucketExtraUpdate {
    /// Other rules; none where empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<Vec<CorsRule>>,
    /// Other tags; none where empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<Tag>>,
}
