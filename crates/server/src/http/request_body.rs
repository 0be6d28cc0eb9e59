//! A body on its way from a client, which may not stand still for long.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

/// The client stopped sending in the middle of a body.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("no byte of the body came for {} s", .0.as_secs())]
pub struct BodyStalled(pub Duration);

/// Tells the harness, after the handler, that the body stalled: then the answer is 408, whatever the handler made of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Stalled(Arc<AtomicBool>);

impl Stalled {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A body whose every chunk must come within `limit` of being waited for.
pub(super) struct WatchedBody {
    inner: Incoming,
    limit: Duration,
    stalled: Stalled,
    /// Made when a chunk is first waited for; a body that is all there costs no timer.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl WatchedBody {
    pub(super) fn new(inner: Incoming, limit: Duration, stalled: Stalled) -> Self {
        Self { inner, limit, stalled, timer: None, waiting: false }
    }
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.waiting = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let limit = this.limit;
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !std::mem::replace(&mut this.waiting, true) {
            timer.as_mut().reset(Instant::now() + limit);
        }
        if timer.as_mut().poll(cx).is_ready() {
            this.stalled.0.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(BodyStalled(limit).into())));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
