//! Headers that stand in a query: several clients put them there when they sign a URL, so that whoever has it need not send
//! them. They are heeded as the headers that they stand for.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::failure::Failure;
use super::payload::SDK_ALGORITHM;

/// Parameters of the signature itself, as they are spelled.
const OF_SIGNATURE: [&str; 8] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
];

/// Checksums of no bytes at all. The AWS SDK for JavaScript signs one into every URL for an upload, as it does not know the
/// body by then; it says nothing of the body, and S3 ignores it.
const OF_NOTHING: [(&str, &str); 5] = [
    ("x-amz-checksum-crc32", "AAAAAA=="),
    ("x-amz-checksum-crc32c", "AAAAAA=="),
    ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA="),
    ("x-amz-checksum-sha1", "2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
    ("x-amz-checksum-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
];

/// Moves what stands for headers out of the query.
///
/// # Errors
/// What is no header's value, or is said twice.
pub(super) fn into_headers(
    query: Vec<(String, String)>,
    headers: &mut HeaderMap,
) -> Result<Vec<(String, String)>, Failure> {
    let mut kept = Vec::with_capacity(query.len());
    for (name, value) in query {
        let lower = name.to_ascii_lowercase();
        if !lower.starts_with("x-amz-") {
            kept.push((name, value));
            continue;
        }
        if OF_SIGNATURE.contains(&name.as_str()) {
            continue;
        }
        if OF_SIGNATURE.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            let message = format!("The parameter {name} is not spelled as those of signatures are");
            return Err(Failure::bad_request("AuthorizationQueryParametersError", message));
        }
        // Beside such a checksum stands its algorithm.
        if OF_NOTHING.contains(&(lower.as_str(), value.as_str())) || lower == SDK_ALGORITHM {
            continue;
        }
        let malformed = || Failure::argument(format!("The parameter {name} is no header"));
        let header = HeaderName::try_from(&lower).map_err(|_| malformed())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| malformed())?;
        if headers.insert(header, value).is_some() {
            return Err(Failure::argument(format!("The header {lower} is given twice")));
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(pairs: &[(&str, &str)], headers: &mut HeaderMap) -> Result<Vec<(String, String)>, &'static str> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        into_headers(pairs.collect(), headers).map_err(|failure| failure.code())
    }

    #[test]
    fn what_stands_for_headers_becomes_headers() {
        let mut headers = HeaderMap::new();
        let query = [
            ("x-id", "PutObject"),
            ("X-Amz-Date", "20260101T000000Z"),
            ("X-Amz-Meta-A", "1"),
            ("x-amz-copy-source", "b/k"),
            ("x-amz-checksum-crc32", "AAAAAA=="),
            ("x-amz-checksum-sha1", "QFkGydW+auU5PKZfsOfDjg1YXss="),
        ];
        let kept = moved(&query, &mut headers).unwrap();
        assert_eq!(kept, [("x-id".to_owned(), "PutObject".to_owned())]);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["x-amz-checksum-sha1", "x-amz-copy-source", "x-amz-meta-a"]);
        for bad in [
            ("x-amz-meta-a", "2"),
            ("x-amz-meta-b", "\n"),
            ("x-amz-meta- ", "1"),
            ("x-amz-security-token", "t"),
        ] {
            assert!(moved(&[bad], &mut headers.clone()).is_err(), "{bad:?}");
        }
        assert!(moved(&[("x-amz-acl", "private"), ("X-Amz-Acl", "private")], &mut headers).is_err());
    }
}
