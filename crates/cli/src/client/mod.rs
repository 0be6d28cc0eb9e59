//! A client of the server's REST interface: one function per request, in files by noun.
//!
//! Knows URLs, headers and JSON; prints nothing. The token leaves this module in one header only.

pub(crate) mod admin;
pub(crate) mod batch;
pub(crate) mod buckets;
mod credentials;
pub(crate) mod jobs;
mod keys;
mod lifecycle;
pub(crate) mod objects;
pub(crate) mod policies;
pub(crate) mod queries;
pub(crate) mod queue;
mod quotas;
mod response;
pub(crate) mod transfer;
pub(crate) mod versions;
mod webhooks;

use std::time::Duration;

use anyhow::Context as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;

use crate::args::Global;
use crate::failure::Failure;
pub(crate) use credentials::{Token, keys_of_data_dir};
pub(crate) use jobs::Relocation;
pub(crate) use quotas::QuotaOf;

/// What a URL's path may hold unescaped: RFC 3986's unreserved characters and the separator.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may take over a request that moves no file.
const ANSWER: Duration = Duration::from_secs(300);
/// How long a peer may be silent before the connection counts as lost.
const SILENCE: Duration = Duration::from_secs(60);

/// A server, and who speaks to it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Token>,
}

impl Client {
    /// A client for the server and the caller that the options name.
    pub(crate) fn new(global: &Global) -> Result<Self, Failure> {
        let base = parse_base(&global.url)?;
        let token = credentials::find(global, is_loopback(&base))?;
        Self::with_token(base, token)
    }

    /// A client for the server that the options name, and for nobody: asks for no key, and looks for none.
    pub(crate) fn anonymous(global: &Global) -> Result<Self, Failure> {
        Self::with_token(parse_base(&global.url)?, None)
    }

    fn with_token(base: Url, token: Option<Token>) -> Result<Self, Failure> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("aerostore/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30))
            // NOTE: a redirect would be followed with the upload's body gone; the user should name the server.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let http = builder.build().context("cannot set up the HTTP client")?;
        Ok(Self { http, base, token })
    }

    /// The server's address.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// The caller's token.
    pub(crate) fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// A request to `route` below the base, with the caller's token.
    fn request(&self, method: Method, route: &str) -> RequestBuilder {
        let request = self.http.request(method, self.url(route));
        match &self.token {
            Some(token) => request.bearer_auth(token.reveal()),
            None => request,
        }
    }

    /// `route` below the base.
    pub(crate) fn url(&self, route: &str) -> Url {
        let mut url = self.base.clone();
        let path = format!("{}/{}", self.base.path().trim_end_matches('/'), route.trim_start_matches('/'));
        let (path, query) =
            path.split_once('?').map_or((path.as_str(), None), |(path, query)| (path, Some(query)));
        url.set_path(path);
        url.set_query(query);
        url
    }

    /// Sends a request and gives back a successful answer.
    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.broken(&error))?;
        response::check(response, self.token.is_some()).await
    }

    /// Sends a request whose answer comes soon, and reads it as JSON.
    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let response = self.send(request.timeout(ANSWER)).await?;
        self.read(response).await
    }

    /// Reads an answer as JSON.
    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, Failure> {
        let body = response.bytes().await.map_err(|error| self.broken(&error))?;
        Ok(serde_json::from_slice(&body).context("the server's answer is not what was expected")?)
    }

    /// Sends a request whose answer is a mere yes.
    async fn done(&self, request: RequestBuilder) -> Result<(), Failure> {
        let response = self.send(request.timeout(ANSWER)).await?;
        response.bytes().await.map_err(|error| self.broken(&error))?;
        Ok(())
    }

    /// A request that got no answer.
    fn broken(&self, error: &reqwest::Error) -> Failure {
        if error.is_builder() {
            return Failure::Usage(format!("cannot send this request: {}", root_cause(error)));
        }
        Failure::Unreachable { url: self.base.to_string(), reason: root_cause(error) }
    }
}

/// Percent-encodes a bucket's name or an object's path.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

/// The innermost cause: reqwest's own words repeat the URL and say little.
pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The address of a server, below which its routes are.
pub(crate) fn parse_base(text: &str) -> Result<Url, Failure> {
    let mut url = parse_url(text)?;
    // The address that other clients are given is as good.
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/storage/v1").unwrap_or(path).to_owned();
    url.set_path(&path);
    Ok(url)
}

/// The URL of something on a server.
pub(crate) fn parse_url(text: &str) -> Result<Url, Failure> {
    let wrong = |why: &str| Failure::Usage(format!("`{text}` is not the URL of a server: {why}"));
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong("write http://HOST:PORT or https://HOST"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it ends before `?` and `#`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it holds no user and password; use --token"));
    }
    Ok(url)
}

/// Whether the server is on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_server_addresses_are_taken() {
        let check = |text: &str, ok: bool| assert_eq!(parse_base(text).is_ok(), ok, "{text}");
        check("http://127.0.0.1:8000", true);
        check("https://files.example.com/prefix/", true);
        check("127.0.0.1:8000", false);
        check("ftp://x", false);
        check("http://user:pw@x", false);
        check("http://x/?a=b", false);
        let base = |text: &str| parse_base(text).unwrap().to_string();
        assert_eq!(base("http://x:1/storage/v1/"), "http://x:1/");
        assert_eq!(base("http://x:1/behind/storage/v1"), "http://x:1/behind");
    }

    #[test]
    fn loopback_is_recognised() {
        let check = |text: &str, expected: bool| {
            assert_eq!(is_loopback(&Url::parse(text).unwrap()), expected, "{text}");
        };
        check("http://localhost:8000", true);
        check("http://127.0.0.1", true);
        check("http://[::1]:1", true);
        check("http://10.0.0.1", false);
        check("http://localhost.evil.example", false);
    }

    #[test]
    fn names_are_encoded_for_a_url() {
        let check = |text: &str, expected: &str| assert_eq!(encode(text), expected);
        check("a/b c.txt", "a/b%20c.txt");
        check("50%?#ü", "50%25%3F%23%C3%BC");
    }
}
