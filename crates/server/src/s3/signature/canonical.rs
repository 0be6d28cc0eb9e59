//! The one form of a request that client and server both sign.

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderMap;
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::s3::target::Parameters;

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

/// A canonical request, with what stands for its payload.
pub(super) fn request(
    parts: &Parts,
    query: &Parameters,
    origin: &Origin,
    signed_headers: &[String],
    payload: &str,
    as_sent: bool,
) -> String {
    let mut text = format!("{}\n{}", parts.method, origin.prefix);
    match as_sent {
        true => text.push_str(parts.uri.path()),
        // As everybody who follows the rules would encode it: S3 encodes it once.
        false => {
            let decoded: Vec<u8> = percent_decode_str(parts.uri.path()).collect();
            text.extend(percent_encoding::percent_encode(&decoded, &IN_PATHS));
        }
    }
    text.push('\n');
    push_query(&mut text, query);
    text.push('\n');
    for name in signed_headers {
        text.extend([name, ":"]);
        push_value(&mut text, &parts.headers, name, origin);
        text.push('\n');
    }
    text.push('\n');
    for (number, name) in signed_headers.iter().enumerate() {
        text.extend([if number == 0 { "" } else { ";" }, name]);
    }
    text.extend(["\n", payload]);
    text
}

fn push_query(text: &mut String, query: &Parameters) {
    let encode = |text| utf8_percent_encode(text, &UNRESERVED).to_string();
    let signed = query.iter().filter(|(name, _)| name != "X-Amz-Signature");
    let mut pairs: Vec<_> = signed.map(|(name, value)| (encode(name), encode(value))).collect();
    pairs.sort_unstable();
    for (number, (name, value)) in pairs.iter().enumerate() {
        text.extend([if number == 0 { "" } else { "&" }, name, "=", value]);
    }
}

/// A header's values, trimmed, with single spaces.
fn push_value(text: &mut String, headers: &HeaderMap, name: &str, origin: &Origin) {
    if name == "host" {
        return text.push_str(&origin.host);
    }
    for (number, line) in headers.get_all(name).iter().enumerate() {
        let line = String::from_utf8_lossy(line.as_bytes());
        text.push_str(if number == 0 { "" } else { "," });
        for (number, word) in line.trim().split(' ').filter(|word| !word.is_empty()).enumerate() {
            text.extend([if number == 0 { "" } else { " " }, word]);
        }
    }
}

/// What is signed of a canonical request.
pub(super) fn string_to_sign(time: &str, place: &str, request: &str) -> String {
    let hash = hex::encode(digest(&SHA256, request.as_bytes()));
    format!("{}\n{time}\n{place}\n{hash}", super::ALGORITHM)
}
