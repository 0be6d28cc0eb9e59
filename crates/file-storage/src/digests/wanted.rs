//! What a body must be: computed while it passes by, and compared at its end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use subtle::ConstantTimeEq;
use tokio::task::JoinHandle;

use super::{Algorithm, Checksums, Digests, Hasher};
use crate::body::ByteStream;
use crate::errors::StorageError;
use crate::file::Sha256;

/// Digests that must come out.
type Expected = Vec<(Algorithm, Vec<u8>)>;

/// What is to be computed of a body, and what must come out. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    algorithms: BTreeSet<Algorithm>,
    expected: Arc<Mutex<Expected>>,
}

impl Wanted {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.algorithms.is_empty() && self.expected().is_empty()
    }

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
        self.expected().push((algorithm, digest));
    }

    fn expected(&self) -> MutexGuard<'_, Expected> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares what came out, as far as it was computed.
    ///
    /// # Errors
    /// [`StorageError::DigestMismatch`].
    pub fn check(&self, digests: &Digests) -> Result<(), StorageError> {
        self.check_each(|algorithm| digests.get(algorithm))
    }

    fn check_each<'d>(&self, of: impl Fn(Algorithm) -> Option<&'d [u8]>) -> Result<(), StorageError> {
        let expected = self.expected();
        let differs = expected.iter().find(|(algorithm, digest)| {
            of(*algorithm).is_some_and(|computed| !bool::from(computed.ct_eq(digest.as_slice())))
        });
        match differs {
            Some((algorithm, _)) => Err(StorageError::DigestMismatch { algorithm: *algorithm }),
            None => Ok(()),
        }
    }

    /// Passes a body on, and fails it at its end where it is not what was announced. SHA-256 is left to whoever stores the
    /// bytes, and computes it anyway: [`Watch::check_sha256`].
    pub(crate) fn watch(&self, body: ByteStream) -> (ByteStream, Watch) {
        let algorithms = self.algorithms.iter().filter(|algorithm| **algorithm != Algorithm::Sha256);
        self.watch_for(algorithms.copied().collect(), body)
    }

    /// The same with SHA-256, where what is stored is not the body alone.
    pub(crate) fn watch_all(&self, body: ByteStream) -> ByteStream {
        self.watch_for(self.algorithms.iter().copied().collect(), body).0
    }

    fn watch_for(&self, algorithms: Vec<Algorithm>, body: ByteStream) -> (ByteStream, Watch) {
        let watch = Watch { wanted: self.clone(), computed: Arc::new(OnceLock::new()) };
        if algorithms.is_empty() {
            return (body, watch);
        }
        let watched = Watched { body, work: Work::new(Hasher::new(algorithms)), watch: watch.clone() };
        (stream::try_unfold(watched, Watched::next).boxed(), watch)
    }
}

/// What came of a body that has passed.
#[derive(Clone)]
pub(crate) struct Watch {
    wanted: Wanted,
    /// Set once the body has ended well.
    computed: Arc<OnceLock<Digests>>,
}

impl Watch {
    /// Compares the SHA-256, which was computed elsewhere.
    ///
    /// # Errors
    /// [`StorageError::DigestMismatch`].
    pub(crate) fn check_sha256(&self, sha256: &Sha256) -> Result<(), StorageError> {
        self.wanted.check_each(|asked| (asked == Algorithm::Sha256).then_some(&sha256.0))
    }

    /// The entity tag: the MD5 where that was asked for, else the SHA-256.
    pub(crate) fn etag(&self, sha256: &Sha256) -> String {
        let md5 = self.computed.get().and_then(|digests| digests.get(Algorithm::Md5));
        md5.map_or_else(|| sha256.to_hex(), hex::encode)
    }

    /// What was asked for; an MD5 is the entity tag, and no checksum.
    pub(crate) fn checksums(&self, sha256: &Sha256) -> Checksums {
        let computed = self.computed.get().into_iter().flat_map(Digests::iter);
        let sha256 = self.wanted.computes(Algorithm::Sha256).then_some((Algorithm::Sha256, &sha256.0[..]));
        let checksums = computed.filter(|(algorithm, _)| *algorithm != Algorithm::Md5).chain(sha256);
        checksums.map(|(algorithm, digest)| (algorithm.as_str().to_owned(), BASE64.encode(digest))).collect()
    }
}

/// A body on its way through the hasher.
struct Watched {
    body: ByteStream,
    work: Work,
    watch: Watch,
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
                self.watch.wanted.check(&digests)?;
                // Set once: the stream has ended.
                let _first = self.watch.computed.set(digests);
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

    async fn pass(wanted: &Wanted, chunks: usize) -> Result<Option<Digests>, StorageError> {
        let body = stream::iter((0..chunks).map(|_| Ok(Bytes::from(vec![7; 100_000])))).boxed();
        let (body, watch) = wanted.watch(body);
        let passed: usize = body.map_ok(|chunk| chunk.len()).try_fold(0, async |a, b| Ok(a + b)).await?;
        assert_eq!(passed, chunks * 100_000);
        Ok(watch.computed.get().cloned())
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
