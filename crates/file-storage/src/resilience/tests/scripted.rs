//! A backend without blobs: each call does what was planned for it, and is noted with its time.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt, future};
use tokio::time::{Instant, sleep};

use crate::backend::{BackendError, BlobInfo, BlobWritten, StorageBackend};
use crate::body::{self, ByteStream};
use crate::file::{BlobKey, Sha256};

/// What a call does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    Succeed,
    Fail,
    /// Says when to come back.
    Throttle(Duration),
    Refuse,
    Miss,
    /// Takes that long, and succeeds.
    Take(Duration),
    /// Never ends.
    Hang,
    /// Of a write: takes so many chunks, and fails.
    FailAfterChunks(usize),
}

pub(crate) struct Scripted {
    provider: Arc<str>,
    plan: Mutex<VecDeque<Act>>,
    /// What is planned for one operation alone, and comes first.
    plans: Mutex<HashMap<&'static str, VecDeque<Act>>>,
    otherwise: Act,
    began: Instant,
    calls: Mutex<Vec<(&'static str, Duration)>>,
    running: AtomicUsize,
    most_running: AtomicUsize,
    bodies: Mutex<Vec<Bytes>>,
}

impl Scripted {
    pub(crate) fn new(plan: impl IntoIterator<Item = Act>, otherwise: Act) -> Arc<Self> {
        Arc::new(Self {
            provider: "scripted".into(),
            plan: Mutex::new(plan.into_iter().collect()),
            plans: Mutex::default(),
            otherwise,
            began: Instant::now(),
            calls: Mutex::default(),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            bodies: Mutex::default(),
        })
    }

    /// When calls came, since the beginning.
    pub(crate) fn calls(&self) -> Vec<Duration> {
        self.calls.lock().unwrap().iter().map(|(_, at)| *at).collect()
    }

    /// Calls of an operation.
    pub(crate) fn count(&self, operation: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|(other, _)| *other == operation).count()
    }

    /// Has the next calls of an operation do this.
    pub(crate) fn plan_for(&self, operation: &'static str, plan: impl IntoIterator<Item = Act>) {
        self.plans.lock().unwrap().entry(operation).or_default().extend(plan);
    }

    pub(crate) fn call_count(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    /// Calls under way, and the most that ever were at once.
    pub(crate) fn running(&self) -> (usize, usize) {
        (self.running.load(Ordering::SeqCst), self.most_running.load(Ordering::SeqCst))
    }

    /// The bodies that were written.
    pub(crate) fn bodies(&self) -> Vec<Bytes> {
        self.bodies.lock().unwrap().clone()
    }

    fn enter(self: &Arc<Self>, operation: &'static str) -> (Act, Running) {
        self.calls.lock().unwrap().push((operation, self.began.elapsed()));
        let now = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_running.fetch_max(now, Ordering::SeqCst);
        let planned = self.plans.lock().unwrap().get_mut(operation).and_then(VecDeque::pop_front);
        let act = planned.or_else(|| self.plan.lock().unwrap().pop_front()).unwrap_or(self.otherwise);
        (act, Running(self.clone()))
    }
}

/// A call under way.
struct Running(Arc<Scripted>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

fn unavailable(operation: &'static str, retry_after: Option<Duration>) -> BackendError {
    BackendError::Unavailable { operation, retry_after, source: Arc::new(std::io::Error::other("down")) }
}

async fn act(act: Act, operation: &'static str) -> Result<(), BackendError> {
    match act {
        Act::Succeed => Ok(()),
        Act::Fail | Act::FailAfterChunks(_) => Err(unavailable(operation, None)),
        Act::Throttle(wait) => Err(unavailable(operation, Some(wait))),
        Act::Refuse => {
            let source = Arc::new(std::io::Error::other("no"));
            Err(BackendError::Refused { operation, source })
        }
        Act::Miss => Err(BackendError::NotFound),
        Act::Take(time) => {
            sleep(time).await;
            Ok(())
        }
        Act::Hang => future::pending().await,
    }
}

/// The backend; clones are one.
#[derive(Clone)]
pub(crate) struct Backend(pub(crate) Arc<Scripted>);

impl Backend {
    pub(crate) fn new(plan: impl IntoIterator<Item = Act>, otherwise: Act) -> Self {
        Self(Scripted::new(plan, otherwise))
    }
}

#[async_trait]
impl StorageBackend for Backend {
    fn provider(&self) -> &Arc<str> {
        &self.0.provider
    }

    async fn write(
        &self,
        _: &BlobKey,
        mut body: ByteStream,
        _: Option<u64>,
    ) -> Result<BlobWritten, BackendError> {
        let (what, _running) = self.0.enter("write");
        if let Act::FailAfterChunks(chunks) = what {
            for _ in 0..chunks {
                drop(body.next().await);
            }
        } else {
            let failed = |error| BackendError::Body(Box::new(error));
            let bytes: Bytes = body.try_collect::<Vec<_>>().await.map_err(failed)?.concat().into();
            self.0.bodies.lock().unwrap().push(bytes);
        }
        act(what, "write").await?;
        let bytes = self.0.bodies().pop().unwrap();
        Ok(BlobWritten { size: bytes.len() as u64, sha256: Sha256::of(&bytes) })
    }

    async fn settle(&self, _: &BlobKey, _: bool) {}

    /// A stream of one chunk, which comes after what is planned; `Hang` and `Take` are its, too.
    async fn read(&self, _: &BlobKey, _: Option<Range<u64>>) -> Result<ByteStream, BackendError> {
        let (what, running) = self.0.enter("read");
        match what {
            Act::Take(_) | Act::Hang => Ok(stream::once(async move {
                let _running = running;
                act(what, "read").await.map_err(|error| error.into_storage_error(&"scripted".into()))?;
                Ok(Bytes::from_static(b"bytes"))
            })
            .boxed()),
            what => act(what, "read").await.map(|()| body::from_bytes(Bytes::from_static(b"bytes"))),
        }
    }

    async fn copy(&self, _: &BlobKey, _: &BlobKey) -> Result<(), BackendError> {
        let (what, _running) = self.0.enter("copy");
        act(what, "copy").await
    }

    async fn delete(&self, _: &BlobKey) -> Result<(), BackendError> {
        let (what, _running) = self.0.enter("delete");
        act(what, "delete").await
    }

    async fn size(&self, _: &BlobKey) -> Result<Option<u64>, BackendError> {
        let (what, _running) = self.0.enter("size");
        act(what, "size").await.map(|()| Some(5))
    }

    fn list(&self) -> BoxStream<'static, Result<BlobInfo, BackendError>> {
        let (what, running) = self.0.enter("list");
        stream::once(async move {
            let _running = running;
            act(what, "list").await?;
            Err(BackendError::NotFound)
        })
        .boxed()
    }

    async fn recover(&self) -> Result<Vec<BlobKey>, BackendError> {
        Ok(Vec::new())
    }

    async fn probe(&self) -> Result<(), BackendError> {
        let (what, _running) = self.0.enter("probe");
        act(what, "probe").await
    }

    async fn drain(&self) {}
}
