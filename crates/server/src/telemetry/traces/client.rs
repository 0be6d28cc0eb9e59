//! The client of HTTP that brings spans to who collects them, and remembers what went wrong: the exporter itself tells no more than
//! that it was the network.

use std::error::Error;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};

/// Why the last request had no answer; none where it had one.
pub(super) type Cause = Arc<ArcSwapOption<String>>;

/// A client, and what it met.
#[derive(Debug)]
pub(super) struct Client {
    client: reqwest::Client,
    cause: Cause,
}

impl Client {
    pub(super) fn new(client: reqwest::Client, cause: Cause) -> Self {
        Self { client, cause }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.client.send_bytes(request).await;
        let cause = answer.as_ref().err().map(|error| Arc::new(root(error.as_ref())));
        self.cause.store(cause);
        answer
    }
}

/// What lies at the bottom of an error: the system's own words.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}
