//! Counters of uploads and downloads (SPEC 10), with a bounded number of bucket labels.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use super::FileStorage;
use crate::bucket::BucketName;
use crate::errors::StorageError;

/// Buckets that get a label of their own. All later ones share `other`, so that no caller can make a metrics
/// store grow without bound.
const MAX_BUCKET_LABELS: usize = 100;

/// The bucket names that are labels already.
#[derive(Default)]
pub(super) struct BucketLabels(RwLock<HashSet<BucketName>>);

impl BucketLabels {
    fn label(&self, bucket: &BucketName, exists: bool) -> String {
        if self.0.read().unwrap_or_else(PoisonError::into_inner).contains(bucket) {
            return bucket.to_string();
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Only a success proves that the name is a bucket's and not a caller's invention.
        if exists && known.len() < MAX_BUCKET_LABELS {
            known.insert(bucket.clone());
            bucket.to_string()
        } else {
            "other".to_owned()
        }
    }
}

impl FileStorage {
    /// Counts an upload: its bytes, or its error.
    pub(super) fn count_upload(&self, bucket: &BucketName, outcome: Result<u64, &StorageError>) {
        let label = self.inner.labels.label(bucket, outcome.is_ok());
        match outcome {
            Ok(bytes) => {
                metrics::counter!("storage_upload_total", "bucket" => label.clone(), "status" => "success")
                    .increment(1);
                metrics::counter!("storage_upload_bytes_total", "bucket" => label).increment(bytes);
            }
            Err(error) => {
                metrics::counter!("storage_upload_total", "bucket" => label, "status" => "error")
                    .increment(1);
                metrics::counter!("storage_upload_errors_total", "error" => error.code()).increment(1);
            }
        }
    }

    /// Counts a download: the bytes it was answered with, or its error.
    pub(super) fn count_download(&self, bucket: &BucketName, outcome: Result<u64, &StorageError>) {
        let label = self.inner.labels.label(bucket, outcome.is_ok());
        match outcome {
            Ok(bytes) => {
                metrics::counter!("storage_download_total", "bucket" => label.clone(), "status" => "success")
                    .increment(1);
                metrics::counter!("storage_download_bytes_total", "bucket" => label).increment(bytes);
            }
            Err(error) => {
                metrics::counter!("storage_download_total", "bucket" => label, "status" => "error")
                    .increment(1);
                metrics::counter!("storage_download_errors_total", "error" => error.code()).increment(1);
            }
        }
    }
}
