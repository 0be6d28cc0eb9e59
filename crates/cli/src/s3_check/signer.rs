//! Signature Version 4, as a client makes it: in a header, in the query, chunk by chunk.
//!
//! NOTE: written from AWS's description and not from the server's code, with which it must agree and shares nothing.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};

use super::endpoint::Endpoint;
use super::request::{Request, Signed};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How long a signed URL of ours is good, in seconds.
const SECONDS: &str = "300";

/// Whose key signs, and for which region.
pub(crate) struct Signer {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: Option<String>,
    pub(crate) region: String,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// The SHA-256 of bytes, in hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

/// A moment at which requests are signed.
struct Moment(DateTime<Utc>);

impl Moment {
    fn now() -> Self {
        Self(Utc::now())
    }

    fn time(&self) -> String {
        self.0.format("%Y%m%dT%H%M%SZ").to_string()
    }

    fn date(&self) -> String {
        self.0.format("%Y%m%d").to_string()
    }
}

impl Signer {
    fn scope(&self, at: &Moment) -> String {
        format!("{}/{}/s3/aws4_request", at.date(), self.region)
    }

    fn sign(&self, at: &Moment, text: &str) -> String {
        let step = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(HMAC_SHA256, key), text.as_bytes());
        let secret = format!("AWS4{}", self.secret_access_key);
        let date = step(secret.as_bytes(), &at.date());
        let region = step(date.as_ref(), &self.region);
        let service = step(region.as_ref(), "s3");
        let key = step(service.as_ref(), "aws4_request");
        hex::encode(step(key.as_ref(), text))
    }

    /// Signs a request whose headers are complete; gives its signature, too.
    fn signed(
        &self,
        to: &Endpoint,
        request: Request,
        payload: &str,
        at: &Moment,
    ) -> (Signed, String, String) {
        let mut lines: Vec<_> = request.headers.clone();
        lines.push(("host".to_owned(), to.host()));
        lines.sort();
        let names: Vec<_> = lines.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let headers: String = lines.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let (method, query) = (request.method, request.query_string());
        let path = format!("{}{}", to.path(), request.path);
        let canonical = format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{payload}");
        let to_sign =
            format!("{ALGORITHM}\n{}\n{}\n{}", at.time(), self.scope(at), sha256(canonical.as_bytes()));
        let signature = self.sign(at, &to_sign);
        (Signed { request, canonical, to_sign }, names, signature)
    }

    fn by_header_at(&self, to: &Endpoint, request: Request, payload: &str, at: &Moment) -> (Signed, String) {
        let mut request = request.header("x-amz-content-sha256", payload).header("x-amz-date", at.time());
        if let Some(token) = &self.session_token {
            request = request.header("x-amz-security-token", token);
        }
        let (mut signed, names, signature) = self.signed(to, request, payload, at);
        let credential = format!("{}/{}", self.access_key_id, self.scope(at));
        let line =
            format!("{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}");
        signed.request = signed.request.unsigned("authorization", line);
        (signed, signature)
    }

    /// Signs by header, with the hash of the body.
    pub(super) fn by_header(&self, to: &Endpoint, request: Request) -> Signed {
        let payload = sha256(&request.body);
        self.by_header_at(to, request, &payload, &Moment::now()).0
    }

    /// Signs by query: a URL for anybody.
    pub(super) fn by_query(&self, to: &Endpoint, request: Request) -> Signed {
        let at = Moment::now();
        let mut request = request
            .query("X-Amz-Algorithm", ALGORITHM)
            .query("X-Amz-Credential", format!("{}/{}", self.access_key_id, self.scope(&at)))
            .query("X-Amz-Date", at.time())
            .query("X-Amz-Expires", SECONDS)
            .query("X-Amz-SignedHeaders", "host");
        if let Some(token) = &self.session_token {
            request = request.query("X-Amz-Security-Token", token);
        }
        let (mut signed, _, signature) = self.signed(to, request, "UNSIGNED-PAYLOAD", &at);
        signed.request = signed.request.query("X-Amz-Signature", signature);
        signed
    }

    /// Signs a body chunk by chunk.
    pub(super) fn in_chunks(&self, to: &Endpoint, request: Request, chunks: &[&[u8]]) -> Signed {
        let at = Moment::now();
        let request = in_aws_chunks(request, chunks.iter().map(|chunk| chunk.len()).sum());
        let (mut signed, mut previous) =
            self.by_header_at(to, request, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", &at);
        let mut body = Vec::new();
        for chunk in chunks.iter().copied().chain([b"".as_slice()]) {
            let (time, scope) = (at.time(), self.scope(&at));
            let (empty, hash) = (sha256(b""), sha256(chunk));
            let text = format!("{ALGORITHM}-PAYLOAD\n{time}\n{scope}\n{previous}\n{empty}\n{hash}");
            previous = self.sign(&at, &text);
            body.extend_from_slice(format!("{:x};chunk-signature={previous}\r\n", chunk.len()).as_bytes());
            body.extend_from_slice(chunk);
            body.extend_from_slice(b"\r\n");
        }
        signed.request = signed.request.body(body);
        signed
    }

    /// Sends a body in unsigned chunks, and its SHA-256 behind it.
    pub(super) fn with_trailer(&self, to: &Endpoint, request: Request, body: &[u8]) -> Signed {
        let name = "x-amz-checksum-sha256";
        let request = in_aws_chunks(request, body.len()).header("x-amz-trailer", name);
        let payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
        let (mut signed, _) = self.by_header_at(to, request, payload, &Moment::now());
        let checksum = STANDARD.encode(digest(&SHA256, body));
        let mut sent = format!("{:x}\r\n", body.len()).into_bytes();
        sent.extend_from_slice(body);
        sent.extend_from_slice(format!("\r\n0\r\n{name}:{checksum}\r\n\r\n").as_bytes());
        signed.request = signed.request.body(sent);
        signed
    }
}

fn in_aws_chunks(request: Request, length: usize) -> Request {
    request
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", length.to_string())
}
