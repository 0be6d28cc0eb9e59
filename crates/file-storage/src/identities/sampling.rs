//! Which blobs are looked for in a place of which nobody has said which one it is: some of each of some buckets, as one bucket may
//! have been lost while the others are there.

use crate::file::BlobKey;

/// Blobs of a bucket that are looked for, and names that are read at once.
pub(crate) const SAMPLES: u32 = 4;

/// Buckets of which blobs are looked for.
const SAMPLED_BUCKETS: usize = 16;

/// Samples of all names that a database knows at a provider. They are read page by page, in their order, each page behind the bucket
/// at which the one before ended.
pub(crate) struct Sampling {
    samples: Vec<BlobKey>,
    after: Option<BlobKey>,
    pages_left: usize,
}

impl Sampling {
    /// Nothing is read yet.
    pub(crate) fn new() -> Self {
        Self { samples: Vec::new(), after: None, pages_left: SAMPLED_BUCKETS }
    }

    /// Whether another page is wanted.
    pub(crate) fn goes_on(&self) -> bool {
        self.pages_left > 0
    }

    /// Behind which name it begins.
    pub(crate) fn after(&self) -> Option<&BlobKey> {
        self.after.as_ref()
    }

    /// Takes a page of at most [`SAMPLES`] names in.
    pub(crate) fn take(&mut self, page: impl IntoIterator<Item = BlobKey>) {
        let had = self.samples.len();
        self.samples.extend(page);
        self.after = self.samples.get(had..).and_then(<[_]>::last).and_then(BlobKey::last_of_bucket);
        self.pages_left = if self.after.is_some() { self.pages_left.saturating_sub(1) } else { 0 };
    }

    /// All that were read.
    pub(crate) fn into_samples(self) -> Vec<BlobKey> {
        self.samples
    }
}
