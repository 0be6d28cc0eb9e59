//! The local disk: the conformance suite, and what is its own.

mod bench;
mod disk;
mod failures;
mod memory;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::{LocalBackend, LocalOptions};
use crate::backend::StorageBackend;
use crate::backend::conformance::{Place, conformance_suite};
use crate::file::BlobKey;

conformance_suite!(LocalPlace::new());

/// A root of its own, gone after the test.
struct LocalPlace {
    root: tempfile::TempDir,
    backend: Option<LocalBackend>,
}

impl LocalPlace {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let backend = LocalBackend::open(LocalOptions::new(root.path())).unwrap();
        Self { root, backend: Some(backend) }
    }

    fn local(&self) -> &LocalBackend {
        self.backend.as_ref().unwrap()
    }

    fn path(&self) -> &Path {
        self.root.path()
    }

    fn blob(&self, key: &BlobKey) -> PathBuf {
        self.path().join("blobs").join(key.as_str())
    }

    /// Takes a blob out of the page cache, where the file system can.
    fn make_cold(&self, key: &BlobKey) {
        let file = fs::File::open(self.blob(key)).unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }

    /// The files in all staging folders, locks aside.
    fn staged(&self) -> Vec<String> {
        let folders = fs::read_dir(self.path().join("staging")).unwrap();
        let folders = folders.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
        let names = folders.flat_map(|folder| fs::read_dir(folder).unwrap());
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[async_trait]
impl Place for LocalPlace {
    fn backend(&self) -> Arc<dyn StorageBackend> {
        Arc::new(self.local().clone())
    }

    async fn quiet(&self) {
        self.local().drain().await;
    }

    fn has_marks(&self) -> bool {
        true
    }

    async fn restart(&mut self) {
        self.quiet().await;
        self.backend = None;
        self.backend = Some(LocalBackend::open(LocalOptions::new(self.root.path())).unwrap());
    }
}
