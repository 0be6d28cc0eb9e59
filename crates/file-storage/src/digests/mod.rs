//! Digests of bytes beside the SHA-256 that every object has: computed while the bytes pass by, and compared with what
//! was announced before anything is committed. Knows no protocol.

mod of_parts;
mod wanted;

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::digest;
use crc_fast::CrcAlgorithm;
use md5::Digest as _;
use serde::{Deserialize, Serialize};

pub use of_parts::{ChecksumType, ObjectChecksum};
pub use wanted::Wanted;
pub(crate) use wanted::Watch;

/// Digests as they are kept: in base64, by [`Algorithm::as_str`].
pub type Checksums = BTreeMap<String, String>;

/// A way to compute a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    /// MD5, by which S3 makes entity tags.
    Md5,
    /// CRC-32 as in zip.
    Crc32,
    /// CRC-32C, of Castagnoli.
    Crc32C,
    /// CRC-64 as in NVMe.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Md5, Self::Crc32, Self::Crc32C, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// A stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Crc32 => "CRC32",
            Self::Crc32C => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The algorithm of a word, in either case.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(word))
    }

    /// Length of its digests, in bytes.
    pub fn digest_bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Crc32 | Self::Crc32C => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Finished digests, by their algorithm.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Digests(BTreeMap<Algorithm, Vec<u8>>);

impl Digests {
    /// The digest of an algorithm, if it was computed.
    pub fn get(&self, algorithm: Algorithm) -> Option<&[u8]> {
        self.0.get(&algorithm).map(Vec::as_slice)
    }

    /// All that were computed.
    pub fn iter(&self) -> impl Iterator<Item = (Algorithm, &[u8])> {
        self.0.iter().map(|(algorithm, digest)| (*algorithm, digest.as_slice()))
    }
}

/// Several digests in the making.
pub struct Hasher(Vec<(Algorithm, Hash)>);

enum Hash {
    Md5(md5::Md5),
    Crc(Box<crc_fast::Digest>),
    Sha(digest::Context),
}

impl Hasher {
    /// Begins to compute these.
    pub fn new(algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        let crc = |algorithm| Hash::Crc(Box::new(crc_fast::Digest::new(algorithm)));
        let begin = |algorithm| {
            let hash = match algorithm {
                Algorithm::Md5 => Hash::Md5(md5::Md5::new()),
                Algorithm::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc),
                Algorithm::Crc32C => crc(CrcAlgorithm::Crc32Iscsi),
                Algorithm::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme),
                Algorithm::Sha1 => Hash::Sha(digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY)),
                Algorithm::Sha256 => Hash::Sha(digest::Context::new(&digest::SHA256)),
            };
            (algorithm, hash)
        };
        Self(algorithms.into_iter().map(begin).collect())
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        for (_, hash) in &mut self.0 {
            match hash {
                Hash::Md5(hash) => hash.update(bytes),
                Hash::Crc(hash) => hash.update(bytes),
                Hash::Sha(hash) => hash.update(bytes),
            }
        }
    }

    /// The digests of all bytes that were added.
    pub fn finish(self) -> Digests {
        let finish = |(algorithm, hash): (Algorithm, Hash)| {
            let digest = match hash {
                Hash::Md5(hash) => hash.finalize().to_vec(),
                Hash::Crc(hash) => {
                    let bytes = hash.finalize().to_be_bytes();
                    let start = bytes.len().saturating_sub(algorithm.digest_bytes());
                    bytes.get(start..).unwrap_or_default().to_vec()
                }
                Hash::Sha(hash) => hash.finish().as_ref().to_vec(),
            };
            (algorithm, digest)
        };
        Digests(self.0.into_iter().map(finish).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_what_everybody_computes() {
        let mut hasher = Hasher::new(Algorithm::ALL);
        hasher.update(b"12345");
        hasher.update(b"6789");
        let digests = hasher.finish();
        for (algorithm, wanted) in [
            (Algorithm::Md5, "25f9e794323b453885f5181f1b624d0b"),
            (Algorithm::Crc32, "cbf43926"),
            (Algorithm::Crc32C, "e3069283"),
            (Algorithm::Crc64Nvme, "ae8b14860a799888"),
            (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (Algorithm::Sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        ] {
            assert_eq!(hex::encode(digests.get(algorithm).unwrap()), wanted, "{algorithm}");
            assert_eq!(digests.get(algorithm).unwrap().len(), algorithm.digest_bytes());
            assert_eq!(Algorithm::from_word(&algorithm.as_str().to_lowercase()), Some(algorithm));
        }
    }
}
