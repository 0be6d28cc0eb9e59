//! The checksum of an object that is made of parts, out of those of its parts: no byte is read again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::CrcAlgorithm;
use serde::{Deserialize, Serialize};

use super::{Algorithm, Checksums, Hasher};

/// How a checksum covers an object that is made of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChecksumType {
    /// The digest of the parts' digests, with the number of parts behind it.
    #[serde(rename = "COMPOSITE")]
    Composite,
    /// The digest of all bytes, as if they had come in one piece.
    #[serde(rename = "FULL_OBJECT")]
    FullObject,
}

impl ChecksumType {
    /// A stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Composite => "COMPOSITE",
            Self::FullObject => "FULL_OBJECT",
        }
    }

    /// That of a checksum as it is kept: the number of parts stands behind a `-`, which base64 does not have.
    pub fn of(checksum: &str) -> Self {
        if checksum.contains('-') { Self::Composite } else { Self::FullObject }
    }
}

/// The checksum that an object is to have that is made of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectChecksum {
    /// By which algorithm. Each part has its digest, too.
    pub algorithm: Algorithm,
    /// How it covers the object.
    #[serde(rename = "type")]
    pub checksum_type: ChecksumType,
}

impl ObjectChecksum {
    /// Whether there is such a one: digests of two runs make one of both for CRCs alone, and CRC-64 is never composite.
    pub fn is_possible(self) -> bool {
        match self.algorithm {
            Algorithm::Md5 => false,
            Algorithm::Crc32 | Algorithm::Crc32C => true,
            Algorithm::Crc64Nvme => self.checksum_type == ChecksumType::FullObject,
            Algorithm::Sha1 | Algorithm::Sha256 => self.checksum_type == ChecksumType::Composite,
        }
    }

    /// Computes it from the checksums and sizes of the parts, in their order. `None` where a part has no such digest, or
    /// there can't be such a checksum.
    pub fn of_parts<'p>(self, parts: impl IntoIterator<Item = (&'p Checksums, u64)>) -> Option<String> {
        if !self.is_possible() {
            return None;
        }
        match self.checksum_type {
            ChecksumType::Composite => {
                let digests = self.digests_of(parts.into_iter().map(|(checksums, _)| checksums))?;
                let mut all = Hasher::new([self.algorithm]);
                all.update(&digests.concat());
                let all = all.finish();
                Some(format!("{}-{}", BASE64.encode(all.get(self.algorithm)?), digests.len()))
            }
            ChecksumType::FullObject => {
                let crc = self.algorithm.crc()?;
                let mut parts = parts.into_iter();
                let (first, _) = parts.next()?;
                let mut all = number(&self.digest_of(first)?);
                for (checksums, size) in parts {
                    let next = number(&self.digest_of(checksums)?);
                    if size > 0 {
                        all = crc_fast::checksum_combine(crc, all, next, size);
                    }
                }
                let bytes = all.to_be_bytes();
                Some(BASE64.encode(bytes.get(bytes.len() - self.algorithm.digest_bytes()..)?))
            }
        }
    }

    /// The digests of parts, in their order. `None` where one is missing.
    pub fn digests_of<'p>(self, parts: impl Iterator<Item = &'p Checksums>) -> Option<Vec<Vec<u8>>> {
        parts.map(|checksums| self.digest_of(checksums)).collect()
    }

    fn digest_of(self, checksums: &Checksums) -> Option<Vec<u8>> {
        let digest = BASE64.decode(checksums.get(self.algorithm.as_str())?).ok()?;
        (digest.len() == self.algorithm.digest_bytes()).then_some(digest)
    }
}

impl Algorithm {
    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32C => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Md5 | Self::Sha1 | Self::Sha256 => None,
        }
    }
}

/// The number that a digest is, with its first byte first.
fn number(digest: &[u8]) -> u64 {
    digest.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksums(bytes: &[u8]) -> Checksums {
        let mut hasher = Hasher::new(Algorithm::ALL);
        hasher.update(bytes);
        let digests = hasher.finish();
        digests.iter().map(|(a, digest)| (a.as_str().to_owned(), BASE64.encode(digest))).collect()
    }

    fn of(algorithm: Algorithm, checksum_type: ChecksumType, parts: &[&[u8]]) -> Option<String> {
        let known: Vec<_> = parts.iter().map(|part| (checksums(part), part.len() as u64)).collect();
        let checksum = ObjectChecksum { algorithm, checksum_type };
        checksum.of_parts(known.iter().map(|(checksums, size)| (checksums, *size)))
    }

    #[test]
    fn crcs_of_parts_are_that_of_all_bytes() {
        let long = vec![7; 1_000_003];
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32C, Algorithm::Crc64Nvme] {
            for parts in [
                vec![&b"123456789"[..]],
                vec![b"1234", b"56789"],
                vec![b"1", b"2", b"345678", b"9"],
                vec![&long, b"x", &long, b""],
            ] {
                let whole = checksums(&parts.concat()).remove(algorithm.as_str());
                assert_eq!(of(algorithm, ChecksumType::FullObject, &parts), whole, "{algorithm}");
            }
        }
    }

    #[test]
    fn composite_checksums_are_digests_of_digests() {
        // As `printf a | openssl dgst -sha256 -binary` says, and so on, of both one after the other.
        assert_eq!(
            of(Algorithm::Sha256, ChecksumType::Composite, &[b"a", b"b"]).unwrap(),
            "5aAf7hTg7VxIcU8iGA8lrYNltT+XefedxKPX6Tlj+Uo=-2",
        );
        let crc = of(Algorithm::Crc32, ChecksumType::Composite, &[b"123456789"]).unwrap();
        let of_digest = checksums(&[0xcb, 0xf4, 0x39, 0x26]).remove("CRC32").unwrap();
        assert_eq!(crc, format!("{of_digest}-1"));
        assert_eq!(ChecksumType::of(&crc), ChecksumType::Composite);
        assert_eq!(ChecksumType::of(&of_digest), ChecksumType::FullObject);
    }

    #[test]
    fn what_can_not_be_is_nothing() {
        for (algorithm, checksum_type) in [
            (Algorithm::Md5, ChecksumType::Composite),
            (Algorithm::Sha1, ChecksumType::FullObject),
            (Algorithm::Sha256, ChecksumType::FullObject),
            (Algorithm::Crc64Nvme, ChecksumType::Composite),
        ] {
            assert_eq!(of(algorithm, checksum_type, &[b"a"]), None);
        }
        let unknown = ObjectChecksum { algorithm: Algorithm::Crc32, checksum_type: ChecksumType::Composite };
        assert_eq!(unknown.of_parts([(&Checksums::new(), 1)]), None);
    }
}
