//! Which headers of Amazon's are understood, found before anything is done: one that is not must never seem to have been
//! heeded.

use http::{HeaderMap, HeaderValue, Method, header};

use super::failure::Failure;
use super::owners;
use super::target::{Parameters, Target};

/// Headers that any request may have: of its signature, its way here, and its body's form.
const OF_ALL: [&str; 14] = [
    "x-amz-api-version",
    "x-amz-cf-id",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-request-payer",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-te",
    "x-amz-trailer",
    "x-amz-user-agent",
    "x-amz-id-2",
    "x-amz-request-id",
    "x-amz-optional-object-attributes",
];

/// Headers of single operations, which those read.
const OF_SOME: [&str; 13] = [
    "x-amz-acl",
    "x-amz-bucket-object-lock-enabled",
    "x-amz-confirm-remove-self-bucket-access",
    "x-amz-max-parts",
    "x-amz-metadata-directive",
    "x-amz-mp-object-size",
    "x-amz-object-attributes",
    "x-amz-part-number-marker",
    "x-amz-storage-class",
    "x-amz-tagging",
    "x-amz-tagging-directive",
    owners::SOURCE,
    owners::TARGET,
];

/// Fields of a form that stand for no header.
const OF_FORMS: [&str; 3] = ["x-amz-algorithm", "x-amz-credential", "x-amz-signature"];

/// What follows `x-amz-copy-source`, where a source is named.
const OF_SOURCES: [&str; 6] =
    ["", "-if-match", "-if-none-match", "-if-modified-since", "-if-unmodified-since", "-range"];

/// Deletes in spite of a lock. No object is locked here: a deletion does what it asks for.
const BYPASS: &str = "x-amz-bypass-governance-retention";

/// How headers begin that ask for what is not there, and what that is. Any other that is not known is named itself.
const MISSING: [(&str, &str); 9] = [
    ("x-amz-server-side-encryption", "Server-side encryption"),
    ("x-amz-copy-source-server-side-encryption", "Server-side encryption"),
    ("x-amz-object-lock-", "Object lock"),
    (BYPASS, "Object lock"),
    ("x-amz-website-redirect-location", "Redirection of websites"),
    ("x-amz-write-offset-bytes", "Appending"),
    ("x-amz-mfa", "Multi-factor authentication"),
    ("x-amz-grant-", "Granting by header"),
    ("x-amz-if-match-", "A condition on what is deleted"),
];

/// What follows `x-amz-checksum-` in headers that are understood.
const CHECKSUMS: [&str; 8] = ["algorithm", "type", "mode", "crc32", "crc32c", "crc64nvme", "sha1", "sha256"];

/// Refuses what is not supported.
///
/// # Errors
/// `NotImplemented`, saying what.
pub(super) fn check(
    method: &Method,
    target: &Target,
    query: &Parameters,
    headers: &HeaderMap,
) -> Result<(), Failure> {
    let names_version = |(name, value): &(String, String)| name == "versionId" && value != "null";
    if query.iter().any(names_version) && !takes_version(method, query) {
        return Err(Failure::not_implemented("A version for this operation"));
    }
    conditions(method, target, query, headers)?;
    let of_amazon = headers.iter().filter(|(name, _)| name.as_str().starts_with("x-amz-"));
    for (name, value) in of_amazon {
        if name == BYPASS && deletes(method, target, query) {
            continue;
        }
        header(name.as_str(), value, query, headers)?;
        if name == "x-amz-object-ownership" && !matches!((method, target), (&Method::PUT, Target::Bucket(_)))
        {
            return Err(Failure::not_implemented(name));
        }
    }
    Ok(())
}

/// Refuses conditions where none are weighed: what they guard would be done as if they had held. A time is weighed by reads alone.
fn conditions(
    method: &Method,
    target: &Target,
    query: &Parameters,
    headers: &HeaderMap,
) -> Result<(), Failure> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let has = |name: header::HeaderName| headers.contains_key(name);
    let asks = |names: &[&str]| query.iter().any(|(name, _)| names.contains(&name.as_str()));
    let weighs = match (method, target) {
        (&Method::PUT, Target::Object(..)) => !asks(&["acl", "tagging", "uploadId"]),
        (&Method::POST, Target::Object(..)) => asks(&["uploadId"]),
        (&Method::POST, Target::Bucket(_)) => !asks(&["delete"]),
        _ => method == Method::DELETE && deletes(method, target, query),
    };
    if !weighs && (has(header::IF_MATCH) || has(header::IF_NONE_MATCH)) {
        return Err(Failure::not_implemented("A condition on this operation"));
    }
    match has(header::IF_UNMODIFIED_SINCE) && !(weighs && has(header::IF_MATCH)) {
        true => Err(Failure::not_implemented("The condition If-Unmodified-Since on what changes something")),
        false => Ok(()),
    }
}

/// Refuses a header that asks for what is not there, or that is not known.
fn header(name: &str, value: &HeaderValue, query: &Parameters, headers: &HeaderMap) -> Result<(), Failure> {
    if let Some((_, what)) = MISSING.iter().find(|(start, _)| name.starts_with(start)) {
        return Err(Failure::not_implemented(what));
    }
    if let Some(other) = name.strip_prefix("x-amz-checksum-") {
        return match CHECKSUMS.contains(&other) {
            true => Ok(()),
            false => Err(Failure::not_implemented(format!("The checksum {other}"))),
        };
    }
    if let Some(rest) = name.strip_prefix("x-amz-copy-source") {
        // A range is of a part; all others are of copies of both kinds.
        let is_part = query.iter().any(|(name, _)| name == "uploadId");
        let is_heeded = headers.contains_key("x-amz-copy-source") && (rest != "-range" || is_part);
        return match OF_SOURCES.contains(&rest) && is_heeded {
            true => Ok(()),
            false => Err(Failure::not_implemented(format!("The header {name} in this place"))),
        };
    }
    match name {
        "x-amz-storage-class" if !matches!(value.as_bytes(), b"STANDARD" | b"") => {
            let message = "The storage class you specified is not valid: there is STANDARD alone";
            Err(Failure::bad_request("InvalidStorageClass", message))
        }
        // Lists of access decide nothing here, as where the bucket's owner owns all that is in it.
        "x-amz-object-ownership" if value.as_bytes() == b"BucketOwnerEnforced" => Ok(()),
        "x-amz-object-ownership" => Err(Failure::not_implemented("Ownership of objects by who wrote them")),
        name if name.starts_with("x-amz-meta-") => Ok(()),
        name if OF_ALL.contains(&name) || OF_SOME.contains(&name) || OF_FORMS.contains(&name) => Ok(()),
        name => Err(Failure::not_implemented(format!("The header {name}"))),
    }
}

/// Whether objects are deleted: one or many.
fn deletes(method: &Method, target: &Target, query: &Parameters) -> bool {
    let asks = |name: &str| query.iter().any(|(asked, _)| asked == name);
    match target {
        Target::Object(..) => method == Method::DELETE && !asks("tagging") && !asks("uploadId"),
        Target::Bucket(_) => method == Method::POST && asks("delete"),
        Target::Service => false,
    }
}

/// Whether an operation on an object is about the version that it names. Nothing is written to an old one, but its tags.
fn takes_version(method: &Method, query: &Parameters) -> bool {
    let asks = |names: &[&str]| query.iter().any(|(name, _)| names.contains(&name.as_str()));
    match *method {
        Method::GET | Method::HEAD | Method::DELETE => !asks(&["uploadId"]),
        Method::PUT => asks(&["tagging"]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use file_storage::{BucketName, ObjectPath};
    use http::HeaderName;

    use super::*;

    fn put(lines: &[(&'static str, &'static str)], query: &[&str]) -> Result<(), &'static str> {
        let target = Target::Object(BucketName::parse("b").unwrap(), ObjectPath::parse("k").unwrap());
        let query: Vec<_> = query.iter().map(|name| ((*name).to_owned(), String::new())).collect();
        let lines = lines.iter();
        let headers = lines
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        check(&Method::PUT, &target, &query, &headers).map_err(|failure| failure.code())
    }

    #[test]
    fn headers_that_are_not_known_are_refused() {
        let not_known = Err("NotImplemented");
        for bad in [
            "x-amz-rename-source",
            "x-amz-if-match-size",
            "x-amz-copy-source-range",
            "x-amz-copy-source-if-match",
            "x-amz-copy-source-server-side-encryption-customer-key",
            "x-amz-server-side-encryption-customer-key-md5",
            "x-amz-object-ownership",
            "x-amz-checksum-md5",
            "x-amz-bypass-governance-retention",
            "x-amz-whatever",
            "x-amz-",
        ] {
            assert_eq!(put(&[(bad, "1")], &[]), not_known, "{bad}");
        }
        let source = ("x-amz-copy-source", "b/k");
        assert_eq!(put(&[source, ("x-amz-copy-source-if-match", "1")], &[]), Ok(()));
        assert_eq!(put(&[source, ("x-amz-copy-source-range", "1")], &[]), not_known);
        assert_eq!(put(&[source, ("x-amz-copy-source-range", "1")], &["uploadId"]), Ok(()));
        assert_eq!(put(&[("x-amz-storage-class", "GLACIER")], &[]), Err("InvalidStorageClass"));
        let good = ["x-amz-meta-a", "x-amz-date", "x-amz-acl", "x-amz-checksum-crc32", "x-amz-trailer"];
        assert_eq!(put(&good.map(|name| (name, "1")), &[]), Ok(()));
    }

    #[test]
    fn where_nothing_is_locked_a_lock_may_be_passed_by() {
        let bucket = Target::Bucket(BucketName::parse("b").unwrap());
        let object = Target::Object(BucketName::parse("b").unwrap(), ObjectPath::parse("k").unwrap());
        let headers: HeaderMap =
            [(HeaderName::from_static(BYPASS), HeaderValue::from_static("true"))].into_iter().collect();
        let passes = |method: Method, target: &Target, query: &str| {
            check(&method, target, &[(query.to_owned(), String::new())], &headers).is_ok()
        };
        assert!(passes(Method::DELETE, &object, "versionId") && passes(Method::POST, &bucket, "delete"));
        assert!(!passes(Method::PUT, &object, "retention") && !passes(Method::DELETE, &object, "tagging"));
        assert!(!passes(Method::DELETE, &bucket, ""));
    }
}
