//! A body on its way to a client, measured: the operation's line is written when it ends or is cut off.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::operation::{End, Ongoing};

/// A body that finishes its operation when it ends, or when it is dropped before.
pub(super) struct MeasuredBody {
    inner: Body,
    sent: u64,
    /// How long the head says that it is, in bytes.
    length: Option<u64>,
    /// The answer has no body on the wire (to HEAD, or by its status), so that being dropped unread is its end.
    bodiless: bool,
    ongoing: Option<Ongoing>,
}

impl MeasuredBody {
    pub(super) fn new(inner: Body, length: Option<u64>, bodiless: bool, ongoing: Ongoing) -> Self {
        Self { inner, sent: 0, length, bodiless, ongoing: Some(ongoing) }
    }

    /// Whether all of it was handed over. The last byte tells, where the head said how many come: nobody asks such a
    /// body for its end any more, and a client that has everything may go.
    fn is_whole(&self) -> bool {
        self.inner.is_end_stream() || self.length == Some(self.sent)
    }

    fn finish(&mut self, end: End) {
        if let Some(ongoing) = self.ongoing.take() {
            ongoing.finish(end, self.sent);
        }
    }
}

impl HttpBody for MeasuredBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
                if self.is_whole() {
                    self.finish(End::Complete);
                }
            }
            Poll::Ready(None) => self.finish(End::Complete),
            Poll::Ready(Some(Err(error))) => {
                if let Some(ongoing) = &mut self.ongoing {
                    ongoing.log.cause = Some(error.to_string());
                }
                self.finish(End::Broken);
            }
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for MeasuredBody {
    fn drop(&mut self) {
        let whole = self.bodiless || self.is_whole();
        self.finish(if whole { End::Complete } else { End::Interrupted });
    }
}
