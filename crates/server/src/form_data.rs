//! Forms (`multipart/form-data`) off the wire, for all protocols that take them: fields one after the other, each passed on as
//! it comes.
//!
//! ```text
//! let mut form = FormData::new(body, boundary, Limit::Between(MOST));
//! while let Some(mut field) = form.next().await? { … form.chunk(&mut field).await? … }
//! ```
//!
//! The reader behind this holds in memory, and searches again with each chunk, whatever it can't understand yet: what stands
//! before the first boundary, and a field's headers. So it is handed little of a body at a time, and no more than a budget
//! until it has come to a field.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use file_storage::StorageError;
use file_storage::body::ByteStream;
use futures_util::{Stream, StreamExt};
use multer::{Error, Field, Multipart};

/// Most bytes that are handed on at once while they are counted.
const PIECE: usize = 4096;
/// No limit, while a field's bytes are passed on.
const UNCOUNTED: usize = usize::MAX;

/// A form. Its boundaries and headers are bounded; how long a field is, its reader decides.
pub(crate) struct FormData {
    form: Multipart<'static>,
    count: Arc<Count>,
    limit: Limit,
}

/// What a form and its body share.
struct Count {
    /// Bytes that may still be handed on.
    left: AtomicUsize,
    /// Whether there are none, and the reader was told to make do with what it has.
    is_spent: AtomicBool,
}

/// What is bounded, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// All that stands before [`FormData::file`] is asked for: boundaries, headers and fields.
    All(usize),
    /// What stands between two fields, each time.
    Between(usize),
}

impl FormData {
    /// A form in a body.
    pub(crate) fn new(body: Body, boundary: String, limit: Limit) -> Self {
        let (Limit::All(bytes) | Limit::Between(bytes)) = limit;
        let count = Arc::new(Count { left: AtomicUsize::new(bytes), is_spent: AtomicBool::new(false) });
        let counted = Counted {
            body: body.into_data_stream(),
            held: Bytes::new(),
            count: count.clone(),
            pauses: false,
        };
        Self { form: Multipart::new(counted, boundary), count, limit }
    }

    /// The next field; `None` at the end.
    ///
    /// # Errors
    /// A form that is malformed, cut off, or [`is_too_long`].
    pub(crate) async fn next(&mut self) -> Result<Option<Field<'static>>, Error> {
        self.count.is_spent.store(false, Ordering::Relaxed);
        if let Limit::Between(bytes) = self.limit {
            self.count.left.store(bytes, Ordering::Relaxed);
        }
        let field = self.form.next_field().await?;
        if let Limit::Between(_) = self.limit {
            self.count.left.store(UNCOUNTED, Ordering::Relaxed);
        }
        Ok(field)
    }

    /// The next bytes of the last field; `None` at its end. Where all that stands before a file counts, so do these.
    ///
    /// # Errors
    /// As [`FormData::next`].
    pub(crate) async fn chunk(&mut self, field: &mut Field<'static>) -> Result<Option<Bytes>, Error> {
        self.count.is_spent.store(false, Ordering::Relaxed);
        field.chunk().await
    }

    /// Takes the last field for a file: from here on, only what stands between fields counts.
    pub(crate) fn file(&mut self) {
        let (Limit::All(bytes) | Limit::Between(bytes)) = self.limit;
        self.limit = Limit::Between(bytes);
        self.count.left.store(UNCOUNTED, Ordering::Relaxed);
    }
}

/// Whether a form ended because more stood before or between its fields than may.
pub(crate) fn is_too_long(error: &Error) -> bool {
    matches!(error, Error::StreamReadFailed(cause) if cause.is::<TooLong>())
}

/// A file's bytes, up to the first error: a form that was cut off says so for as long as it is asked.
pub(crate) fn until_failed(
    bytes: impl Stream<Item = Result<Bytes, StorageError>> + Send + 'static,
) -> ByteStream {
    let mut has_failed = false;
    let goes_on = move |chunk: &Result<Bytes, StorageError>| {
        std::future::ready(!std::mem::replace(&mut has_failed, chunk.is_err()))
    };
    bytes.take_while(goes_on).boxed()
}

#[derive(Debug, thiserror::Error)]
#[error("the form's boundaries, headers or fields are too long")]
struct TooLong;

/// A body of which so much is handed on. It pauses after each piece: its reader would else take in all that there is before it
/// looks at any of it.
struct Counted {
    body: BodyDataStream,
    held: Bytes,
    count: Arc<Count>,
    pauses: bool,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

impl Stream for Counted {
    type Item = Result<Bytes, Cause>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let left = this.count.left.load(Ordering::Relaxed);
        if std::mem::take(&mut this.pauses) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if left == 0 {
            // What the reader has may be all that it needs.
            if this.count.is_spent.swap(true, Ordering::Relaxed) {
                return Poll::Ready(Some(Err(TooLong.into())));
            }
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if this.held.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_next(context)) {
                Some(Ok(bytes)) => this.held = bytes,
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            }
        }
        this.pauses = true;
        if left == UNCOUNTED {
            return Poll::Ready(Some(Ok(std::mem::take(&mut this.held))));
        }
        let piece = this.held.split_to(this.held.len().min(PIECE).min(left));
        this.count.left.store(left.saturating_sub(piece.len()), Ordering::Relaxed);
        Poll::Ready(Some(Ok(piece)))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use std::convert::Infallible;

    use super::*;

    const FIELD: &str = "--XB\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n";
    const FILE: &str = "--XB\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n";
    const END: &str = "\r\n--XB--\r\n";

    /// A form that begins so, and goes on for ever; and how much of it was asked for.
    fn endless(start: &str, chunk: &'static [u8], limit: Limit) -> (FormData, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let rest = stream::repeat_with(move || {
            counted.fetch_add(chunk.len(), Ordering::Relaxed);
            Ok::<_, Infallible>(Bytes::from_static(chunk))
        });
        let first = stream::iter([Ok(Bytes::copy_from_slice(start.as_bytes()))]);
        let body = Body::from_stream(first.chain(rest));
        (FormData::new(body, "XB".to_owned(), limit), asked)
    }

    #[tokio::test]
    async fn a_form_that_is_cut_off_fails_once() {
        let body = Body::from(format!("{FILE}some of it"));
        let mut form = FormData::new(body, "XB".to_owned(), Limit::Between(20_000));
        let field = form.next().await.unwrap().unwrap();
        let failed = |error: Error| StorageError::InvalidRequest { message: error.to_string() };
        let bytes = until_failed(futures_util::TryStreamExt::map_err(field, failed));
        let last: Vec<_> = bytes.collect().await;
        assert_eq!(last.iter().filter(|chunk| chunk.is_err()).count(), 1);
    }

    async fn until_refused(form: &mut FormData) -> Error {
        loop {
            match form.next().await {
                Ok(Some(mut field)) => while let Ok(Some(_)) = form.chunk(&mut field).await {},
                Ok(None) => panic!("the form has no end"),
                Err(error) => return error,
            }
        }
    }

    #[tokio::test]
    async fn no_more_is_read_than_may_stand_before_a_field() {
        static LONG: [u8; 100_000] = [b'x'; 100_000];
        static SHORT: [u8; 10] = [b'x'; 10];
        let header = format!("{FIELD}--XB\r\nContent-Disposition: form-data; name=\"");
        // How long a field is, is bounded where all of it counts.
        let all = (Limit::All(20_000), &["", FIELD, &header, "--XB"][..]);
        for (limit, starts) in [all, (Limit::Between(20_000), &["", &header, "--XB"])] {
            for start in starts {
                for chunk in [&LONG[..], &SHORT] {
                    let (mut form, asked) = endless(start, chunk, limit);
                    let error = until_refused(&mut form).await;
                    // Behind a boundary stands a line's end, or it is none.
                    let wanted = is_too_long(&error) || *start == "--XB";
                    assert!(wanted, "{limit:?} {start}: {error:?}");
                    // Chunks that are read ahead with a field are held, too.
                    assert!(asked.load(Ordering::Relaxed) <= 300_000, "{limit:?} {start}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_form_of_just_the_size_is_read_and_one_byte_more_is_not() {
        let head = format!("{FIELD}{FILE}");
        let sent = format!("{head}{}{END}", "x".repeat(50_000));
        for (limit, fits) in [(head.len(), true), (head.len() - 1, false)] {
            let mut form = FormData::new(Body::from(sent.clone()), "XB".to_owned(), Limit::All(limit));
            let mut field = form.next().await.unwrap().unwrap();
            let mut text = Vec::new();
            while let Some(chunk) = form.chunk(&mut field).await.unwrap() {
                text.extend_from_slice(&chunk);
            }
            assert_eq!(text, b"1");
            drop(field);
            match form.next().await {
                Ok(file) => {
                    assert!(fits);
                    form.file();
                    let (mut file, mut size) = (file.unwrap(), 0);
                    while let Some(chunk) = file.chunk().await.unwrap() {
                        size += chunk.len();
                    }
                    drop(file);
                    assert_eq!(size, 50_000);
                    assert!(form.next().await.unwrap().is_none());
                }
                Err(error) => assert!(!fits && is_too_long(&error), "{error:?}"),
            }
        }
    }
}
