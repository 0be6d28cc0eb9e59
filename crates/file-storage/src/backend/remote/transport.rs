//! How requests go out: one client of HTTP for each provider, with limits of its own and without ones that would end a
//! long transfer; and what its answers mean, seen before anybody makes a text of them.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService, ReqwestConnector,
};
use object_store::{ClientOptions, RetryConfig};

use super::RemoteOptions;
use super::fault::Fault;
use super::names::{self, Disguised};

/// How long an idle connection is kept: below what load balancers and stores themselves allow.
const IDLE: Duration = Duration::from_secs(20);

/// Most of a refusal that is read, in bytes. What is longer tells no code.
const MAX_REFUSAL: usize = 64 * 1024;

/// Options of a client. Timeouts are those of [`crate::resilience`]: one of a whole request would cut long transfers.
pub(super) fn options(remote: &RemoteOptions, endpoint: Option<&str>) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")))
        .with_timeout_disabled()
        .with_connect_timeout(remote.connect_timeout)
        .with_pool_idle_timeout(IDLE)
        .with_pool_max_idle_per_host(remote.max_idle_connections)
}

/// No retries below ours: they would multiply, and hide failures from the circuit breaker.
pub(super) fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// Connects as `object_store` does, and looks at the answers.
#[derive(Debug)]
pub(super) struct Transport;

impl HttpConnector for Transport {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Watched(ReqwestConnector::default().connect(options)?)))
    }
}

#[derive(Debug)]
struct Watched(HttpClient);

#[async_trait]
impl HttpService for Watched {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_disguised = request.extensions().get::<Disguised>().is_some();
        let response = self.0.execute(request).await.map_err(|error| {
            let fault = Fault::network(&error);
            HttpError::new(error.kind(), fault)
        })?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        match response.status().as_u16() {
            // Azure copies behind our back where it is a long way.
            200..400 if header("x-ms-copy-status").is_some_and(|status| status == "pending") => {
                Err(HttpError::new(HttpErrorKind::Unknown, Fault::Pending))
            }
            200 if is_disguised => {
                let (mut parts, body) = response.into_parts();
                parts.headers.remove("content-length");
                Ok(HttpResponse::from_parts(parts, names::disguise(&body.bytes().await?).into()))
            }
            // A wrong region is a redirect, which says so to `object_store`; the others have meanings of their own.
            200..400 | 409 | 412 => Ok(response),
            status => {
                let retry_after = header("retry-after").and_then(|seconds| seconds.trim().parse().ok());
                let (parts, body) = response.into_parts();
                let text = beginning(body).await;
                let code = element(&text, "Code");
                if status == 404 && !matches!(code, Some("NoSuchBucket" | "ContainerNotFound")) {
                    return Ok(HttpResponse::from_parts(parts, String::new().into()));
                }
                let fault = Fault::of_status(status, code, retry_after.map(Duration::from_secs));
                Err(HttpError::new(HttpErrorKind::Unknown, fault))
            }
        }
    }
}

/// The beginning of a refusal, as far as it comes: it is for its code alone.
async fn beginning(body: HttpResponseBody) -> String {
    let (mut chunks, mut text) = (body.bytes_stream(), Vec::new());
    while let Some(Ok(chunk)) = chunks.next().await {
        let left = MAX_REFUSAL.saturating_sub(text.len());
        text.extend(chunk.iter().take(left));
        if chunk.len() >= left {
            break;
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The text of the first element of that name. The rest of a refusal may repeat what was signed, and goes nowhere.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once("</")?;
    let is_word = !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    is_word.then_some(text)
}
