//! The parsers of this protocol for the targets of `fuzz/`: what is taken, what comes of it is the same however it came,
//! and nothing forges a signature. Only with the feature `fuzzing`.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use file_storage::body::ByteStream;
use file_storage::credentials::CredentialSecret;
use file_storage::file::PutMode;
use file_storage::{BucketName, StorageError};
use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::CopySource;

use super::budget::Budget;
use super::form::policy::Policy;
use super::object::{Described, copy};
use super::payload::{Incoming, Payload};
use super::signature::chunked::{Signing, decoded};
use super::signature::key::{Key, KnownKeys, Scope};
use super::signature::{self, Clock, Origin};
use super::target::{Mount, Target, parameters};
use super::{BASE, bucket, form, hoisted, supported};
use crate::form_data::{FormData, Limit};
use crate::range::{self, Asked};

/// When it is, here: within the time of requests that a corpus keeps.
fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn header_map(lines: &[(String, Vec<u8>)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines.iter().take(64) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// A request's target, headers and signature. `signed` fills in what a signed request must have, so that input need not
/// guess it.
pub fn request(target: &str, host: &str, lines: &[(String, Vec<u8>)], signed: bool) {
    let Ok(uri) = target.parse::<Uri>() else { return };
    let mut headers = header_map(lines);
    if signed {
        let names = headers.keys().map(HeaderName::as_str).collect::<Vec<_>>().join(";");
        let line = format!(
            "AWS4-HMAC-SHA256 Credential=AK/20241004/eu/s3/aws4_request, SignedHeaders=host;{names}, Signature=00"
        );
        let fixed = [("x-amz-date", "20241004T000000Z"), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")];
        for (name, value) in fixed {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        if let Ok(line) = HeaderValue::try_from(line) {
            headers.entry(http::header::AUTHORIZATION).or_insert(line);
        }
    }
    found(&uri, host);
    let query = parameters(&uri);
    let _ = supported::check(&http::Method::GET, &Target::Service, &query, &headers);
    let _ = hoisted::into_headers(query.clone(), &mut headers.clone());
    let (mut parts, ()) = Request::new(()).into_parts();
    (parts.uri, parts.headers) = (uri, headers);
    let clock = Clock { now: now(), skew: Duration::from_secs(900) };
    if let Ok(Some(claim)) = signature::shown(&parts, &query, clock) {
        let origins = [Origin { host: host.to_owned(), prefix: "/prefix".to_owned() }];
        let secret = CredentialSecret::new("what no input knows");
        assert!(
            claim.verify((&KnownKeys::default(), &secret), &parts, &query, &origins).is_err(),
            "a signature was forged"
        );
    }
    if let Ok(payload) = Payload::of_anybody(&parts.headers)
        && let Ok(incoming) = Incoming::new(&parts.headers, payload, Body::from("a body"))
    {
        let _ = incoming.document(&Budget::default(), 1024).now_or_never();
    }
}

/// A target names what its own path, encoded anew, names.
fn found(uri: &Uri, host: &str) {
    let domains = ["s3.example.org".to_owned()];
    let mount = Mount { is_alone: true, prefix: "", domains: &domains };
    let _ = Target::of(uri, Some(host), mount);
    if let Ok(target) = Target::of(uri, None, mount) {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let bucket =
            target.bucket().map(|bucket| format!("/{}", encode(bucket.as_str()))).unwrap_or_default();
        let path = target.path().map(|path| encode(path.as_str())).unwrap_or_default();
        if let Ok(again) = format!("{BASE}{bucket}/{path}").parse() {
            assert_eq!(Target::of(&again, None, mount).ok(), Some(target));
        }
    }
}

/// A body in chunks: its outcome does not depend on where the network cuts it, and what is put into chunks comes out.
pub fn chunks(pieces: &[Vec<u8>], length: Option<u64>, is_signed: bool) {
    let whole = pieces.concat();
    let cut = take(decode(pieces, length, is_signed));
    let uncut = take(decode(std::slice::from_ref(&whole), length, is_signed));
    assert_eq!(cut.as_ref().ok(), uncut.as_ref().ok(), "{cut:?} {uncut:?}");
    let mut sent = Vec::new();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        sent.extend_from_slice(format!("{:X}\r\n", piece.len()).as_bytes());
        sent.extend_from_slice(piece);
        sent.extend_from_slice(b"\r\n");
    }
    sent.extend_from_slice(b"0\r\n\r\n");
    let came = take(decode(&[sent], Some(whole.len() as u64), false));
    assert_eq!(came.ok(), Some(whole));
}

fn decode(pieces: &[Vec<u8>], length: Option<u64>, is_signed: bool) -> ByteStream {
    let scope = Scope { access_key_id: "AK".into(), date: "20241004".into(), region: "eu".into() };
    let key = Key::new(&CredentialSecret::new("what no input knows"), &scope);
    let signing =
        is_signed.then(|| Signing::new(key, "20241004T000000Z", "20241004/eu/s3/aws4_request", "00"));
    decoded(stream_of(pieces), length, signing, None)
}

fn stream_of(pieces: &[Vec<u8>]) -> ByteStream {
    let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

/// All of a stream that never waits.
fn take(stream: ByteStream) -> Result<Vec<u8>, StorageError> {
    let all = stream.collect::<Vec<_>>().now_or_never();
    let chunks = all.unwrap_or_default().into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(chunks.concat())
}

/// A form whose boundary is `x`: its fields, its policy, its file, within the limits that the policy sets.
pub fn form(pieces: &[Vec<u8>]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let Ok(runtime) = runtime else { return };
    let body: Vec<_> =
        pieces.iter().map(|piece| Ok::<_, StorageError>(Bytes::copy_from_slice(piece))).collect();
    runtime.block_on(async {
        let body = Body::from_stream(stream::iter(body));
        let mut form = FormData::new(body, "x".to_owned(), Limit::All(form::MAX_BEFORE_FILE));
        let Ok((fields, file)) = form::fields_before_file(&mut form).await else { return };
        if let Ok(headers) = fields.headers() {
            let _ = Described::of(&headers).map(Described::into_attributes);
            let nothing = Incoming::bare(stream::empty().boxed());
            let _ = nothing.with_digests(&headers);
        }
        let value = |name: &str| fields.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let policy = value("policy").and_then(|text| Policy::parse(text.as_bytes()).ok());
        let key = value("key").unwrap_or_default();
        let limits = policy.and_then(|policy| policy.check(now(), "b", &key, &fields.0).ok()).flatten();
        if let Some(tagging) = value("tagging") {
            let _ = form::policy::tags(&tagging);
        }
        let file: Vec<_> = form::bounded(form::bytes_of(form, file), limits).collect().await;
        if let (Some((least, most)), Ok(chunks)) = (limits, file.into_iter().collect::<Result<Vec<_>, _>>()) {
            let size = chunks.iter().map(Bytes::len).sum::<usize>() as u64;
            assert!((least..=most).contains(&size), "{size} of {least}..={most}");
        }
    });
}

/// Headers that say what to read, to copy, to keep.
pub fn headers(lines: &[(String, Vec<u8>)], text: &str, size: u64) {
    if let Asked::Part(part) = range::parse(text, size) {
        assert!(part.start < part.end && part.end <= size, "{part:?} of {size}");
    }
    if let Ok(source) = CopySource::parse(text) {
        let _ = copy::versioned_source(&source);
    }
    let mut headers = header_map(lines);
    let _ = crate::conditional::write(&headers, PutMode::Upsert);
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert("x-amz-tagging", value);
    }
    let _ = Described::of(&headers).map(Described::into_attributes);
}

/// A bucket's policy as a document: what is taken is shown as a document that is taken for the same.
pub fn bucket_policy(document: &str) {
    let Ok(name) = BucketName::parse("b") else { return };
    if let Ok(policy) = bucket::policy::parse(document, &name) {
        let shown = bucket::policy::public(&name).to_string();
        assert_eq!(bucket::policy::parse(&shown, &name).ok(), Some(policy));
    }
}
