//! A request's body that nobody reads to its end.
//!
//! A refusal is answered before the body is read. A client that is still sending would then find its connection
//! reset, and might never see why. So the rest is read and thrown away while the answer is under way, within bounds.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::request::Parts;
use http::{Version, header};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};

/// The most that is read in vain: a client that sends more is cut off.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// The longest time for it.
const MAX_TIME: Duration = Duration::from_secs(30);

/// A body that is read to its end after it was given up.
pub(super) struct Lingering {
    inner: Option<Body>,
    /// The client waits for a go-ahead (`Expect: 100-continue`), which the first read would give.
    is_waiting: bool,
}

/// Wraps the body of a request, where the client could be left sending.
pub(in crate::rest) fn lingering(parts: &Parts, body: Body) -> Body {
    if body.is_end_stream() || parts.version >= Version::HTTP_2 {
        return body;
    }
    let is_waiting = parts.headers.contains_key(header::EXPECT);
    Body::new(Lingering { inner: Some(body), is_waiting })
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.is_waiting = false;
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let polled = Pin::new(inner).poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.inner = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(body) = self.inner.take() else { return };
        if self.is_waiting || body.is_end_stream() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(MAX_TIME, read_in_vain(body)));
        }
    }
}

async fn read_in_vain(mut body: Body) {
    let mut seen = 0;
    while let Some(Ok(frame)) = body.frame().await {
        seen += frame.data_ref().map_or(0, Bytes::len);
        if seen > MAX_BYTES {
            return;
        }
    }
}
