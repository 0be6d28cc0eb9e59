//! Counters of uploads and downloads (SPEC 10), with a bounded number of bucket labels.

use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock};

use metrics::Counter;

use super::FileStorage;
use crate::bucket::BucketName;
use crate::errors::StorageError;

/// Buckets that get a label of their own. All later ones share `other`, so that no caller can make a metrics
/// store grow without bound.
const MAX_BUCKET_LABELS: usize = 100;

/// The label of buckets that came too late for one of their own, or are not known to be there.
const OTHER: &str = "other";

/// The buckets that are labels already, each with its counters: looking them up in the registry costs more than counting.
#[derive(Default)]
pub(super) struct BucketLabels(RwLock<HashMap<BucketName, Counters>>);

/// What is counted of one bucket's transfers that succeeded.
#[derive(Default)]
struct Counters {
    uploads: OnceLock<Transfers>,
    downloads: OnceLock<Transfers>,
}

struct Transfers {
    number: Counter,
    bytes: Counter,
}

#[derive(Clone, Copy)]
enum Direction {
    Upload,
    Download,
}

impl Direction {
    fn count(self, counters: &Counters, label: &str, bytes: u64) {
        let counted = match self {
            Self::Upload => counters.uploads.get_or_init(|| self.transfers(label)),
            Self::Download => counters.downloads.get_or_init(|| self.transfers(label)),
        };
        counted.number.increment(1);
        counted.bytes.increment(bytes);
    }

    fn transfers(self, bucket: &str) -> Transfers {
        let bucket = bucket.to_owned();
        match self {
            Self::Upload => Transfers {
                number: metrics::counter!("storage_upload_total", "bucket" => bucket.clone(), "status" => "success"),
                bytes: metrics::counter!("storage_upload_bytes_total", "bucket" => bucket),
            },
            Self::Download => Transfers {
                number: metrics::counter!("storage_download_total", "bucket" => bucket.clone(), "status" => "success"),
                bytes: metrics::counter!("storage_download_bytes_total", "bucket" => bucket),
            },
        }
    }
}

impl BucketLabels {
    /// Counts a success, which proves that the name is a bucket's and not a caller's invention.
    fn count(&self, direction: Direction, bucket: &BucketName, bytes: u64) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counters) = known.get(bucket) {
            return direction.count(counters, bucket.as_str(), bytes);
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_BUCKET_LABELS || known.contains_key(bucket) {
            direction.count(known.entry(bucket.clone()).or_default(), bucket.as_str(), bytes);
        } else {
            direction.count(&Counters::default(), OTHER, bytes);
        }
    }

    /// The label of a bucket in an operation that failed.
    fn label(&self, bucket: &BucketName) -> String {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if known.contains_key(bucket) { bucket.to_string() } else { OTHER.to_owned() }
    }
}

impl FileStorage {
    /// Counts an upload: its bytes, or its error.
    pub(super) fn count_upload(&self, bucket: &BucketName, outcome: Result<u64, &StorageError>) {
        let labels = &self.inner.labels;
        match outcome {
            Ok(bytes) => labels.count(Direction::Upload, bucket, bytes),
            Err(error) => {
                let label = labels.label(bucket);
                metrics::counter!("storage_upload_total", "bucket" => label, "status" => "error")
                    .increment(1);
                metrics::counter!("storage_upload_errors_total", "error" => error.code()).increment(1);
            }
        }
    }

    /// Counts a download: the bytes it was answered with, or its error.
    pub(super) fn count_download(&self, bucket: &BucketName, outcome: Result<u64, &StorageError>) {
        let labels = &self.inner.labels;
        match outcome {
            Ok(bytes) => labels.count(Direction::Download, bucket, bytes),
            Err(error) => {
                let label = labels.label(bucket);
                metrics::counter!("storage_download_total", "bucket" => label, "status" => "error")
                    .increment(1);
                metrics::counter!("storage_download_errors_total", "error" => error.code()).increment(1);
            }
        }
    }
}
