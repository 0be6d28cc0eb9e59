//! Every decorator keeps the promises of what it decorates: here of the local disk.

use std::sync::Arc;

use async_trait::async_trait;

use super::super::{
    Attempts, Circuit, CircuitBreaker, CircuitOptions, ConcurrencyLimit, ConcurrencyOptions,
    ResilienceOptions, Retry, RetryOptions, Timeout, TimeoutOptions, guarded,
};
use crate::backend::conformance::{Place, conformance_suite};
use crate::backend::local::{LocalBackend, LocalOptions};
use crate::backend::{BackendError, StorageBackend};

type Decorate = fn(LocalBackend) -> Arc<dyn StorageBackend>;

struct DecoratedPlace {
    folder: tempfile::TempDir,
    decorate: Decorate,
    backend: Option<Arc<dyn StorageBackend>>,
}

fn place(decorate: Decorate) -> DecoratedPlace {
    let folder = tempfile::tempdir().unwrap();
    let mut place = DecoratedPlace { folder, decorate, backend: None };
    place.open();
    place
}

impl DecoratedPlace {
    fn open(&mut self) {
        self.backend = None;
        let local = LocalBackend::open(LocalOptions::new(self.folder.path())).unwrap();
        self.backend = Some((self.decorate)(local));
    }
}

#[async_trait]
impl Place for DecoratedPlace {
    fn backend(&self) -> Arc<dyn StorageBackend> {
        self.backend.clone().unwrap()
    }

    async fn quiet(&self) {
        self.backend().drain().await;
    }

    fn has_marks(&self) -> bool {
        true
    }

    async fn restart(&mut self) {
        self.quiet().await;
        self.open();
    }
}

fn attempts() -> Attempts {
    Attempts::new("local".into(), RetryOptions::default(), None)
}

mod retry {
    use super::*;
    conformance_suite!(place(|local| Arc::new(Retry::new(local, attempts(), 100_000))));
}

mod circuit_breaker {
    use super::*;
    conformance_suite!(place(|local| {
        Arc::new(CircuitBreaker::new(local, Circuit::new("local".into(), CircuitOptions::default())))
    }));
}

mod concurrency {
    use super::*;
    const FEW: ConcurrencyOptions = ConcurrencyOptions { uploads: 2, downloads: 2, deletes: 2, waiting: 100 };
    conformance_suite!(place(|local| Arc::new(ConcurrencyLimit::new(local, FEW))));
}

mod timeout {
    use super::*;
    conformance_suite!(place(|local| Arc::new(Timeout::new(local, TimeoutOptions::default()))));
}

mod all {
    use super::*;
    conformance_suite!(place(|local| {
        let name = local.provider().clone();
        guarded::<_, BackendError>(&name, ResilienceOptions::remote(), |_| Ok(local)).unwrap().backend
    }));
}
