//! A request before it is signed, and what is signed of it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is written as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Percent-encodes a value; slashes, too.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// A request before it is signed.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) method: &'static str,
    /// Below the endpoint's path, encoded.
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    /// What is sent and signed; names in lower case.
    pub(super) headers: Vec<(String, String)>,
    /// What is sent and not signed.
    pub(super) unsigned: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), ..Self::default() }
    }

    pub(super) fn query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// A header that proxies may take for theirs, and that no client signs.
    pub(super) fn unsigned(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.unsigned.push((name, value.into()));
        self
    }

    pub(super) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The query as it is signed, and sent.
    pub(super) fn query_string(&self) -> String {
        let mut pairs: Vec<_> =
            self.query.iter().map(|(name, value)| (encode(name), encode(value))).collect();
        pairs.sort();
        let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }
}

/// A request that was signed.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) request: Request,
    /// The canonical request.
    pub(super) canonical: String,
    /// What its signature is of.
    pub(super) to_sign: String,
}
