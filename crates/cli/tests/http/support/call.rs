//! One request, and its whole answer.

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

/// A request under construction.
pub(crate) struct Call {
    what: String,
    request: RequestBuilder,
}

impl Call {
    pub(super) fn new(client: &Client, method: &str, url: String) -> Self {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Self { what: format!("{method} {url}"), request: client.request(method, url) }
    }

    fn with(self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        Self { what: self.what, request: change(self.request) }
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        self.with(|request| request.header(name, value))
    }

    pub(crate) fn headers(self, lines: &[(&str, &str)]) -> Self {
        lines.iter().fold(self, |call, (name, value)| call.header(name, value))
    }

    pub(crate) fn body(self, body: impl Into<Vec<u8>>) -> Self {
        self.with(|request| request.body(body.into()))
    }

    /// A body that is made while it is sent.
    #[allow(dead_code, reason = "another suite asks for it")]
    pub(crate) fn streamed(self, body: reqwest::Body) -> Self {
        self.with(|request| request.body(body))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.with(|request| request.json(body))
    }

    /// Sends, and gives the answer as soon as its head is there.
    pub(crate) async fn start(self) -> reqwest::Response {
        let what = self.what;
        self.request.send().await.unwrap_or_else(|error| panic!("{what}: {error:?}"))
    }

    /// Sends to a server that may go away meanwhile: the status, if it answered.
    #[allow(dead_code, reason = "another suite asks for it")]
    pub(crate) async fn try_send(self) -> Option<u16> {
        let answer = self.request.send().await.ok()?;
        let status = answer.status().as_u16();
        answer.bytes().await.ok().map(|_| status)
    }

    pub(crate) async fn send(self) -> Reply {
        let what = self.what.clone();
        let answer = self.start().await;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.unwrap_or_else(|error| panic!("{what}: {error:?}")).to_vec();
        Reply { what, status, headers, body }
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) what: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {} is no JSON: {error}", self.what, self.text()))
    }

    /// A header's value; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.what, self.text());
        self
    }

    /// An error of this status and code; of a HEAD, which has no body, the status.
    #[track_caller]
    pub(crate) fn expect_error(self, status: u16, code: &str) -> Self {
        assert_eq!(self.status, status, "{}, wanted {code}: {}", self.what, self.text());
        if !self.what.starts_with("HEAD ") {
            assert_eq!(self.json()["code"], code, "{}: {}", self.what, self.text());
        }
        self
    }
}
