//! A body on its way from a client, which may not stand still for long, and is read on a little when nobody wants it.
//!
//! A connection that is closed while bytes of its client are unread is reset, and a reset takes the answer with it: who
//! sends too much would see a broken connection and not the reason. So the rest is thrown away for a while.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Version, header};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep, timeout};

/// How long a body that was answered already is read on.
const LINGER: Duration = Duration::from_secs(30);
/// How long it may stand still meanwhile.
const LINGER_IDLE: Duration = Duration::from_secs(5);

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

/// What becomes of bytes that nobody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// They are read and thrown away, as they would break the connection and with it the answer.
    ThrowAway,
    /// The same as soon as the client was told to send them (`Expect: 100-continue`); until then none come.
    AwaitsLeave,
    /// HTTP/2 ends a stream without its connection.
    Refuse,
}

impl Rest {
    /// What fits a request.
    pub(super) fn of(parts: &Parts) -> Self {
        match parts.version {
            Version::HTTP_2 => Self::Refuse,
            _ if parts.headers.contains_key(header::EXPECT) => Self::AwaitsLeave,
            _ => Self::ThrowAway,
        }
    }
}

/// A body whose every chunk must come within `limit` of being waited for.
pub(super) struct WatchedBody {
    /// Taken when it has ended, or is given to somebody who reads it on.
    inner: Option<Incoming>,
    rest: Rest,
    limit: Duration,
    stalled: Stalled,
    /// Made when a chunk is first waited for; a body that is all there costs no timer.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl WatchedBody {
    pub(super) fn new(inner: Incoming, rest: Rest, limit: Duration, stalled: Stalled) -> Self {
        Self { inner: Some(inner), rest, limit, stalled, timer: None, waiting: false }
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        let unread = self.inner.take().filter(|body| !body.is_end_stream());
        if let (Rest::ThrowAway, Some(body), Ok(runtime)) = (self.rest, unread, Handle::try_current()) {
            runtime.spawn(throw_away(body));
        }
    }
}

async fn throw_away(mut body: Incoming) {
    let all = async { while let Ok(Some(Ok(_))) = timeout(LINGER_IDLE, body.frame()).await {} };
    // Who sends on for longer is cut off.
    let _ = timeout(LINGER, all).await;
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        if this.rest == Rest::AwaitsLeave {
            // Whoever reads gives leave.
            this.rest = Rest::ThrowAway;
        }
        if let Poll::Ready(frame) = Pin::new(inner).poll_frame(cx) {
            this.waiting = false;
            if !matches!(frame, Some(Ok(_))) {
                this.inner = None;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let limit = this.limit;
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !std::mem::replace(&mut this.waiting, true) {
            timer.as_mut().reset(Instant::now() + limit);
        }
        if timer.as_mut().poll(cx).is_ready() {
            this.stalled.0.store(true, Ordering::Relaxed);
            this.inner = None;
            return Poll::Ready(Some(Err(BodyStalled(limit).into())));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}
