//! The one form of a request that client and server both sign.

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderMap;
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::s3::target::parameters;

/// What is written as it is.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// In paths, slashes are, too.
const IN_PATHS: AsciiSet = UNRESERVED.remove(b'/');

/// How a client may have called the server: a proxy changes both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::s3) struct Origin {
    /// The `Host` that it signed.
    pub(in crate::s3) host: String,
    /// What stood before the path that came here.
    pub(in crate::s3) prefix: String,
}

/// A canonical request, but for its payload's last line.
pub(super) fn request(
    parts: &Parts,
    origin: &Origin,
    signed_headers: &[String],
    payload: &str,
    as_sent: bool,
) -> String {
    let path = format!("{}{}", origin.prefix, parts.uri.path());
    let path = if as_sent { path } else { path_encoded(&path) };
    let headers: String = signed_headers
        .iter()
        .map(|name| format!("{name}:{}\n", value(&parts.headers, name, origin)))
        .collect();
    let (method, query, names) = (&parts.method, query(parts), signed_headers.join(";"));
    format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{payload}")
}

/// A path as it would be encoded by everybody who follows the rules. S3 encodes it once.
fn path_encoded(path: &str) -> String {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    percent_encoding::percent_encode(&decoded, &IN_PATHS).to_string()
}

fn query(parts: &Parts) -> String {
    let encode = |text: &str| utf8_percent_encode(text, &UNRESERVED).to_string();
    let mut pairs: Vec<_> = parameters(&parts.uri)
        .iter()
        .filter(|(name, _)| name != "X-Amz-Signature")
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort();
    let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// A header's values, trimmed, with single spaces.
fn value(headers: &HeaderMap, name: &str, origin: &Origin) -> String {
    if name == "host" {
        return origin.host.clone();
    }
    let lines = headers.get_all(name).iter().map(|line| {
        let line = String::from_utf8_lossy(line.as_bytes());
        line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ").trim().to_owned()
    });
    lines.collect::<Vec<_>>().join(",")
}

/// What is signed of a canonical request.
pub(super) fn string_to_sign(time: &str, place: &str, request: &str) -> String {
    let hash = hex::encode(digest(&SHA256, request.as_bytes()));
    format!("{}\n{time}\n{place}\n{hash}", super::ALGORITHM)
}
