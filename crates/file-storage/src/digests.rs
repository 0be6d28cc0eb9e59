//! Digests of bytes beside the SHA-256 that every object has: computed while the bytes pass by, and compared with what
//! was announced before anything is committed. Knows no protocol.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aws_lc_rs::digest;
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use futures_util::{StreamExt, stream};
use md5::Digest as _;
use subtle::ConstantTimeEq;
use tokio::task::JoinHandle;

use crate::body::ByteStream;
use crate::errors::StorageError;

/// A way to compute a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    Crc(crc_fast::Digest),
    Sha(digest::Context),
}

impl Hasher {
    /// Begins to compute these.
    pub fn new(algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        let begin = |algorithm| {
            let hash = match algorithm {
                Algorithm::Md5 => Hash::Md5(md5::Md5::new()),
                Algorithm::Crc32 => Hash::Crc(crc_fast::Digest::new(CrcAlgorithm::Crc32IsoHdlc)),
                Algorithm::Crc32C => Hash::Crc(crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi)),
                Algorithm::Crc64Nvme => Hash::Crc(crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme)),
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

/// What is to be computed of a body, and what must come out. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    algorithms: BTreeSet<Algorithm>,
    expected: Arc<Mutex<Vec<(Algorithm, Vec<u8>)>>>,
}

impl Wanted {
    /// Has this digest computed.
    pub fn compute(&mut self, algorithm: Algorithm) {
        self.algorithms.insert(algorithm);
    }

    /// Whether this digest is computed.
    pub fn computes(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Demands that this digest comes out. What is demanded while the body comes in must have been asked for by
    /// [`Wanted::compute`] before.
    pub fn expect(&self, algorithm: Algorithm, digest: Vec<u8>) {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).push((algorithm, digest));
    }

    /// Compares what came out, as far as it was computed.
    ///
    /// # Errors
    /// [`StorageError::DigestMismatch`].
    pub fn check(&self, digests: &Digests) -> Result<(), StorageError> {
        self.check_each(|algorithm| digests.get(algorithm))
    }

    /// Compares the one digest.
    pub(crate) fn check_one(&self, algorithm: Algorithm, digest: &[u8]) -> Result<(), StorageError> {
        self.check_each(|asked| (asked == algorithm).then_some(digest))
    }

    fn check_each<'d>(&self, of: impl Fn(Algorithm) -> Option<&'d [u8]>) -> Result<(), StorageError> {
        let expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        let differs = expected.iter().find(|(algorithm, digest)| {
            of(*algorithm).is_some_and(|computed| !bool::from(computed.ct_eq(digest.as_slice())))
        });
        match differs {
            Some((algorithm, _)) => Err(StorageError::DigestMismatch { algorithm: *algorithm }),
            None => Ok(()),
        }
    }

    /// Passes a body on, and fails it at its end where it is not what was announced. SHA-256 is left to whoever stores the
    /// bytes, and computes it anyway. What was computed is in the slot once the body has ended well.
    pub(crate) fn watch(&self, body: ByteStream) -> (ByteStream, Arc<OnceLock<Digests>>) {
        let slot = Arc::new(OnceLock::new());
        let algorithms: Vec<_> =
            self.algorithms.iter().copied().filter(|algorithm| *algorithm != Algorithm::Sha256).collect();
        if algorithms.is_empty() {
            return (body, slot);
        }
        let watched = Watched {
            body,
            work: Work::new(Hasher::new(algorithms)),
            wanted: self.clone(),
            slot: slot.clone(),
        };
        (stream::try_unfold(watched, Watched::next).boxed(), slot)
    }
}

/// A body on its way through the hasher.
struct Watched {
    body: ByteStream,
    work: Work,
    wanted: Wanted,
    slot: Arc<OnceLock<Digests>>,
}

impl Watched {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, StorageError> {
        match self.body.next().await.transpose()? {
            Some(chunk) => {
                self.work.add(chunk.clone()).await?;
                Ok(Some((chunk, self)))
            }
            None => {
                let digests = self.work.finish().await?;
                self.wanted.check(&digests)?;
                // Set once: the stream has ended.
                let _first = self.slot.set(digests);
                Ok(None)
            }
        }
    }
}

/// Bytes that are collected before another thread hashes them: MD5 takes longer than the network brings the next ones, and
/// the thread of the runtime has others to serve.
const BATCH: usize = 256 * 1024;

/// Hashing, batch by batch: while one is computed, the next is collected.
struct Work {
    hasher: Option<Hasher>,
    running: Option<JoinHandle<Hasher>>,
    batch: Vec<Bytes>,
    size: usize,
}

impl Work {
    fn new(hasher: Hasher) -> Self {
        Self { hasher: Some(hasher), running: None, batch: Vec::new(), size: 0 }
    }

    async fn add(&mut self, chunk: Bytes) -> Result<(), StorageError> {
        self.size = self.size.saturating_add(chunk.len());
        self.batch.push(chunk);
        if self.size < BATCH {
            return Ok(());
        }
        let hasher = self.hasher().await?;
        self.size = 0;
        let batch = std::mem::take(&mut self.batch);
        self.running = Some(tokio::task::spawn_blocking(move || hash(hasher, &batch)));
        Ok(())
    }

    async fn finish(mut self) -> Result<Digests, StorageError> {
        let hasher = self.hasher().await?;
        Ok(hash(hasher, &self.batch).finish())
    }

    /// The hasher, once nobody else has it.
    async fn hasher(&mut self) -> Result<Hasher, StorageError> {
        let lost = || StorageError::internal("hashing panicked");
        match self.running.take() {
            Some(running) => running.await.map_err(|_| lost()),
            None => self.hasher.take().ok_or_else(lost),
        }
    }
}

fn hash(mut hasher: Hasher, batch: &[Bytes]) -> Hasher {
    batch.iter().for_each(|chunk| hasher.update(chunk));
    hasher
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

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

    async fn pass(wanted: &Wanted, chunks: usize) -> Result<Option<Digests>, StorageError> {
        let body = stream::iter((0..chunks).map(|_| Ok(Bytes::from(vec![7; 100_000])))).boxed();
        let (body, slot) = wanted.watch(body);
        let passed: usize = body.map_ok(|chunk| chunk.len()).try_fold(0, async |a, b| Ok(a + b)).await?;
        assert_eq!(passed, chunks * 100_000);
        Ok(slot.get().cloned())
    }

    #[tokio::test]
    async fn a_body_that_is_not_what_was_announced_fails_at_its_end() {
        for chunks in [0, 1, 2, 3, 30] {
            let mut wanted = Wanted::default();
            wanted.compute(Algorithm::Md5);
            wanted.compute(Algorithm::Crc32C);
            let digests = pass(&wanted, chunks).await.unwrap().unwrap();
            let mut whole = Hasher::new([Algorithm::Md5, Algorithm::Crc32C]);
            whole.update(&vec![7; chunks * 100_000]);
            assert_eq!(digests, whole.finish(), "{chunks}");
            wanted.expect(Algorithm::Crc32C, digests.get(Algorithm::Crc32C).unwrap().to_vec());
            assert!(pass(&wanted, chunks).await.is_ok());
            wanted.expect(Algorithm::Md5, vec![0; 16]);
            let error = pass(&wanted, chunks).await.unwrap_err();
            assert!(matches!(error, StorageError::DigestMismatch { algorithm: Algorithm::Md5 }), "{error}");
        }
        assert_eq!(pass(&Wanted::default(), 2).await.unwrap(), None);
    }
}
