//! AWS Signature Version 4 as a client makes it, by header, by query, in chunks, and for forms.

use std::net::SocketAddr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;

use super::Reply;

/// Where S3 is.
pub(crate) const BASE: &str = "/storage/v1/s3";
const KEPT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, &KEPT).to_string()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

/// A client's key.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
    pub(crate) now: DateTime<Utc>,
}

/// A request before it is signed. The path is what stands in the URL, below the base.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Ask {
    pub(crate) fn new(method: &'static str, path: &str) -> Self {
        Self { method, path: path.to_owned(), ..Self::default() }
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    fn query_string(&self) -> String {
        let mut pairs: Vec<_> = self.query.iter().map(|(n, v)| (encode(n), encode(v))).collect();
        pairs.sort();
        pairs.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("&")
    }
}

impl Signer {
    pub(crate) fn new(id: &str, secret: &str) -> Self {
        Self { id: id.to_owned(), secret: secret.to_owned(), token: None, now: Utc::now() }
    }

    pub(crate) fn time(&self) -> String {
        self.now.format("%Y%m%dT%H%M%SZ").to_string()
    }

    pub(crate) fn scope(&self) -> String {
        format!("{}/eu-test-1/s3/aws4_request", self.now.format("%Y%m%d"))
    }

    fn mac(key: &[u8], text: &str) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
    }

    pub(crate) fn sign_text(&self, text: &str) -> String {
        let date =
            Self::mac(format!("AWS4{}", self.secret).as_bytes(), &self.now.format("%Y%m%d").to_string());
        let key = Self::mac(&Self::mac(&Self::mac(&date, "eu-test-1"), "s3"), "aws4_request");
        hex::encode(Self::mac(&key, text))
    }

    /// The signature of a canonical request.
    fn signature(&self, ask: &Ask, host: &str, names: &[String], payload: &str) -> String {
        let value = |name: &str| match name {
            "host" => host.to_owned(),
            name => ask.headers.iter().find(|(n, _)| n == name).unwrap().1.clone(),
        };
        let headers: String = names.iter().map(|name| format!("{name}:{}\n", value(name))).collect();
        let canonical = format!(
            "{}\n{BASE}{}\n{}\n{headers}\n{}\n{payload}",
            ask.method,
            ask.path,
            ask.query_string(),
            names.join(";")
        );
        self.sign_text(&format!(
            "AWS4-HMAC-SHA256\n{}\n{}\n{}",
            self.time(),
            self.scope(),
            sha256(canonical.as_bytes())
        ))
    }

    /// Signs by header, with what stands for the payload. Gives the signature, too.
    pub(crate) fn by_header(&self, ask: Ask, host: &str, payload: &str) -> (Ask, String) {
        let mut ask = ask.header("x-amz-content-sha256", payload).header("x-amz-date", &self.time());
        if let Some(token) = &self.token {
            ask = ask.header("x-amz-security-token", token);
        }
        let mut names: Vec<_> = ask.headers.iter().map(|(name, _)| name.clone()).collect();
        names.push("host".to_owned());
        names.sort();
        let signature = self.signature(&ask, host, &names, payload);
        let line = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={signature}",
            self.id,
            self.scope(),
            names.join(";")
        );
        (ask.header("authorization", &line), signature)
    }

    /// Signs by query.
    pub(crate) fn by_query(&self, ask: Ask, host: &str, seconds: u32) -> Ask {
        let mut ask = ask
            .query("X-Amz-Algorithm", "AWS4-HMAC-SHA256")
            .query("X-Amz-Credential", &format!("{}/{}", self.id, self.scope()))
            .query("X-Amz-Date", &self.time())
            .query("X-Amz-Expires", &seconds.to_string())
            .query("X-Amz-SignedHeaders", "host");
        if let Some(token) = &self.token {
            ask = ask.query("X-Amz-Security-Token", token);
        }
        let signature = self.signature(&ask, host, &["host".to_owned()], "UNSIGNED-PAYLOAD");
        ask.query("X-Amz-Signature", &signature)
    }

    /// Signs a body chunk by chunk.
    pub(crate) fn in_chunks(&self, ask: Ask, host: &str, chunks: &[&[u8]]) -> Ask {
        let length: usize = chunks.iter().map(|chunk| chunk.len()).sum();
        let ask = ask
            .header("content-encoding", "aws-chunked")
            .header("x-amz-decoded-content-length", &length.to_string());
        let (ask, mut previous) = self.by_header(ask, host, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
        let mut body = Vec::new();
        for chunk in chunks.iter().copied().chain([&b""[..]]) {
            let text = format!(
                "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{previous}\n{}\n{}",
                self.time(),
                self.scope(),
                sha256(b""),
                sha256(chunk)
            );
            previous = self.sign_text(&text);
            body.extend_from_slice(format!("{:x};chunk-signature={previous}\r\n", chunk.len()).as_bytes());
            body.extend_from_slice(chunk);
            body.extend_from_slice(b"\r\n");
        }
        ask.body(body)
    }

    /// Sends a body in unsigned chunks with a trailer.
    pub(crate) fn with_trailer(&self, ask: Ask, host: &str, body: &[u8], trailer: (&str, &str)) -> Ask {
        let ask = ask
            .header("content-encoding", "aws-chunked")
            .header("x-amz-decoded-content-length", &body.len().to_string())
            .header("x-amz-trailer", trailer.0);
        let (ask, _) = self.by_header(ask, host, "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
        let mut sent = Vec::new();
        if !body.is_empty() {
            sent.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
            sent.extend_from_slice(body);
            sent.extend_from_slice(b"\r\n");
        }
        sent.extend_from_slice(format!("0\r\n{}:{}\r\n\r\n", trailer.0, trailer.1).as_bytes());
        ask.body(sent)
    }
}

/// Sends requests as they are.
pub(crate) struct Client {
    pub(crate) host: String,
    http: reqwest::Client,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        Self { host: address.to_string(), http: http.unwrap() }
    }

    pub(crate) async fn send(&self, ask: Ask) -> Reply {
        let query = ask.query_string();
        let query = if query.is_empty() { query } else { format!("?{query}") };
        let url = format!("http://{}{BASE}{}{query}", self.host, ask.path);
        let what = format!("{} {url}", ask.method);
        let method = Method::from_bytes(ask.method.as_bytes()).unwrap();
        let request = self.http.request(method, url).body(ask.body);
        let request = ask.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let answer = request.send().await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.unwrap_or_else(|error| panic!("{what}: {error:?}")).to_vec();
        Reply { what, status, headers, body }
    }

    /// Signs by header with the payload's hash, and sends.
    pub(crate) async fn signed(&self, signer: &Signer, ask: Ask) -> Reply {
        let payload = sha256(&ask.body);
        self.send(signer.by_header(ask, &self.host, &payload).0).await
    }
}
