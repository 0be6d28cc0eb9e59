//! Sends signed requests, and judges how they arrived.

use std::future::ready;
use std::iter::once;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Method;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::answer::Answer;
use super::endpoint::Endpoint;
use super::finding::Finding;
use super::judge;
use super::request::{Request, Signed};
use super::signer::Signer;
use crate::client::{is_loopback, root_cause};
use crate::failure::{Failure, UNREACHABLE};

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take: all of them are small.
const ANSWER: Duration = Duration::from_secs(30);
/// Most bytes of an answer that are read.
const MAX_ANSWER: usize = 1 << 20;

/// A client of S3 for one key, and one URL.
pub(super) struct Prober {
    pub(super) endpoint: Endpoint,
    pub(super) signer: Signer,
    http: reqwest::Client,
    /// Where all names lead, if that was said.
    pub(super) resolved: Option<IpAddr>,
}

/// All names lead to one address.
struct To(IpAddr);

impl Resolve for To {
    fn resolve(&self, _: Name) -> Resolving {
        // The port of the URL takes the place of 0.
        let addresses: Addrs = Box::new(once(SocketAddr::new(self.0, 0)));
        Box::pin(ready(Ok(addresses)))
    }
}

impl Prober {
    pub(super) fn new(endpoint: Endpoint, signer: Signer, resolved: Option<IpAddr>) -> Result<Self, Failure> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(endpoint.url()) || resolved.is_some() {
            builder = builder.no_proxy();
        }
        if let Some(address) = resolved {
            builder = builder.dns_resolver(Arc::new(To(address)));
        }
        let http = builder.build().context("cannot set up the HTTP client")?;
        Ok(Self { endpoint, signer, http, resolved })
    }

    /// Sends a request as it is.
    pub(super) async fn send(&self, to: &Endpoint, request: &Request) -> Result<Answer, Finding> {
        let broken = |error: &reqwest::Error| {
            Finding::failed(format!("no answer from {}: {}", to.url(), root_cause(error)))
                .exit_code(UNREACHABLE)
        };
        let url = to.target(&request.path, &request.query_string());
        let method = Method::from_bytes(request.method.as_bytes()).unwrap_or_default();
        let mut sent = self.http.request(method, url);
        let signed = request.headers.iter().map(|(name, value)| (name.as_str(), value));
        for (name, value) in signed.chain(request.unsigned.iter().map(|(name, value)| (*name, value))) {
            sent = sent.header(name, value);
        }
        if !request.body.is_empty() {
            sent = sent.body(request.body.clone());
        }
        let mut response = sent.send().await.map_err(|error| broken(&error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body })
    }

    /// Sends a signed request, whose signature must be accepted.
    pub(super) async fn send_signed(&self, signed: &Signed) -> Result<Answer, Finding> {
        self.send_signed_to(&self.endpoint, signed).await
    }

    /// The same to another name of the server.
    pub(super) async fn send_signed_to(&self, to: &Endpoint, signed: &Signed) -> Result<Answer, Finding> {
        let answer = self.send(to, &signed.request).await?;
        judge::arrived(signed, &answer, to)?;
        Ok(answer)
    }

    /// Signs by header, and sends.
    pub(super) async fn ask(&self, request: Request) -> Result<Answer, Finding> {
        self.send_signed(&self.signer.by_header(&self.endpoint, request)).await
    }
}
