//! Requests that carry a file: its bytes stream through, up and down.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use reqwest::{Body, Method, Response, StatusCode, header};

use super::{Client, SILENCE, objects};
use crate::address::Remote;
use crate::failure::Failure;

/// What to send along with an upload.
#[derive(Debug)]
pub(crate) struct Upload<'a> {
    pub(crate) content_type: &'a str,
    pub(crate) cache_control: Option<&'a str>,
    /// The number of bytes, where it is known.
    pub(crate) size: Option<u64>,
    /// Whether an object that is already there is replaced.
    pub(crate) overwrite: bool,
}

/// A download that has begun.
#[derive(Debug)]
pub(crate) struct Download {
    response: Response,
    url: String,
    /// The entity's validator, if it is a strong one.
    pub(crate) etag: Option<String>,
    /// Where in the object the body starts.
    pub(crate) start: u64,
    /// The object's whole size, where the server says it.
    pub(crate) size: Option<u64>,
}

impl Client {
    /// Uploads a body.
    pub(crate) async fn upload(&self, to: &Remote, body: Body, options: &Upload<'_>) -> Result<(), Failure> {
        let method = if options.overwrite { Method::PUT } else { Method::POST };
        let mut request = self
            .request(method, &objects::route("/storage/v1/object", to))
            .header(header::CONTENT_TYPE, options.content_type)
            .body(body);
        if let Some(size) = options.size {
            request = request.header(header::CONTENT_LENGTH, size);
        }
        if let Some(cache_control) = options.cache_control {
            request = request.header(header::CACHE_CONTROL, cache_control);
        }
        let response = self.send(request).await?;
        response.bytes().await.map_err(|error| self.broken(&error))?;
        Ok(())
    }

    /// Begins a download: from `offset` if the object still is the one that `etag` names, else from its start.
    pub(crate) async fn download(
        &self,
        from: &Remote,
        resume: Option<(u64, &str)>,
    ) -> Result<Download, Failure> {
        let mut request = self.request(Method::GET, &objects::route("/storage/v1/object", from));
        if let Some((offset, etag)) = resume {
            request =
                request.header(header::RANGE, format!("bytes={offset}-")).header(header::IF_RANGE, etag);
        }
        let response = self.send(request).await?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let etag = header(header::ETAG).filter(|etag| !etag.starts_with("W/")).map(str::to_owned);
        let (start, size) = if response.status() == StatusCode::PARTIAL_CONTENT {
            let range = header(header::CONTENT_RANGE).and_then(parse_content_range);
            range.ok_or_else(|| anyhow::anyhow!("the server sent a part without saying which"))?
        } else {
            (0, response.content_length())
        };
        Ok(Download { url: self.base.to_string(), etag, start, size, response })
    }
}

impl Download {
    /// The bytes; ends with an error where the connection breaks or falls silent.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Bytes, Failure>> + Send + Unpin {
        let url = self.url;
        let chunks = Box::pin(self.response.bytes_stream());
        Box::pin(futures_util::stream::unfold(Some((chunks, url)), |state| async move {
            let (mut chunks, url) = state?;
            match tokio::time::timeout(SILENCE, chunks.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some((chunks, url)))),
                Ok(Some(Err(error))) => {
                    Some((Err(Failure::Unreachable { url, reason: super::root_cause(&error) }), None))
                }
                Err(_) => {
                    let reason = format!("nothing came for {} s", SILENCE.as_secs());
                    Some((Err(Failure::Unreachable { url, reason }), None))
                }
            }
        }))
    }
}

/// First byte and whole size of `bytes 5-9/10`.
fn parse_content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.parse().ok()?, size.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::parse_content_range;

    #[test]
    fn content_ranges() {
        let check = |text: &str, expected| assert_eq!(parse_content_range(text), expected, "{text}");
        check("bytes 5-9/10", Some((5, Some(10))));
        check("bytes 0-0/*", Some((0, None)));
        check("bytes */10", None);
        check("lines 1-2/3", None);
    }
}
