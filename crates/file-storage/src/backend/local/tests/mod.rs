//! The local disk: the conformance suite, and what is its own.

mod bench;

use std::sync::Arc;

use async_trait::async_trait;

use super::{LocalBackend, LocalOptions};
use crate::backend::StorageBackend;
use crate::backend::conformance::{Place, conformance_suite};

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
}

#[async_trait]
impl Place for LocalPlace {
    fn backend(&self) -> Arc<dyn StorageBackend> {
        Arc::new(self.local().clone())
    }

    async fn quiet(&self) {
        self.local().drain().await;
    }

    async fn restart(&mut self) {
        self.quiet().await;
        self.backend = None;
        self.backend = Some(LocalBackend::open(LocalOptions::new(self.root.path())).unwrap());
    }
}
