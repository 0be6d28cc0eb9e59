//! What this server has not, found before anything is done: S3 ignores parameters and headers that it does not know, but
//! one that it knows and we don't must never seem to have been heeded.

use http::{HeaderMap, HeaderValue, Method};

use super::failure::Failure;
use super::target::Parameters;

/// Parts of S3 that stand as a parameter in the query, and that the routes behind this would take for something else.
const PARAMETERS: [&str; 7] = [
    "renameObject",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "abac",
    "append",
    "x-amz-object-lambda",
];

/// Headers that ask for what is not there, and what that is.
const HEADERS: [(&str, &str); 13] = [
    ("x-amz-server-side-encryption", "Server-side encryption"),
    ("x-amz-server-side-encryption-customer-algorithm", "Server-side encryption"),
    ("x-amz-server-side-encryption-aws-kms-key-id", "Server-side encryption"),
    ("x-amz-copy-source-server-side-encryption-customer-algorithm", "Server-side encryption"),
    ("x-amz-object-lock-mode", "Object lock"),
    ("x-amz-object-lock-legal-hold", "Object lock"),
    ("x-amz-object-lock-retain-until-date", "Object lock"),
    ("x-amz-bypass-governance-retention", "Object lock"),
    ("x-amz-website-redirect-location", "Redirection of websites"),
    ("x-amz-write-offset-bytes", "Appending"),
    ("x-amz-expected-bucket-owner", "The condition on a bucket's owner"),
    ("x-amz-source-expected-bucket-owner", "The condition on a bucket's owner"),
    ("x-amz-mfa", "Multi-factor authentication"),
];

/// What follows `x-amz-checksum-` in headers that are understood.
const CHECKSUMS: [&str; 8] = ["algorithm", "type", "mode", "crc32", "crc32c", "crc64nvme", "sha1", "sha256"];

/// Refuses what is not supported.
///
/// # Errors
/// `NotImplemented`, saying what.
pub(super) fn check(method: &Method, query: &Parameters, headers: &HeaderMap) -> Result<(), Failure> {
    for (name, value) in query {
        if PARAMETERS.contains(&name.as_str()) {
            return Err(Failure::not_implemented(name));
        }
        if name == "versionId" && value != "null" && !takes_version(method, query) {
            return Err(Failure::not_implemented("A version for this operation"));
        }
    }
    let amazons = headers.iter().map(|(name, value)| (name.as_str(), value));
    amazons.filter(|(name, _)| name.starts_with("x-amz-")).try_for_each(|(name, value)| header(name, value))
}

/// Refuses a header that asks for what is not there.
fn header(name: &str, value: &HeaderValue) -> Result<(), Failure> {
    if let Some((_, what)) = HEADERS.iter().find(|(known, _)| *known == name) {
        return Err(Failure::not_implemented(what));
    }
    if name.starts_with("x-amz-grant-") {
        return Err(Failure::not_implemented("Granting by header"));
    }
    if let Some(other) = name.strip_prefix("x-amz-checksum-").filter(|name| !CHECKSUMS.contains(name)) {
        return Err(Failure::not_implemented(format!("The checksum {other}")));
    }
    if name == "x-amz-storage-class" && !matches!(value.as_bytes(), b"STANDARD" | b"") {
        let message = "The storage class you specified is not valid: there is STANDARD alone";
        return Err(Failure::bad_request("InvalidStorageClass", message));
    }
    Ok(())
}

/// Whether an operation on an object is about the version that it names. Nothing is written to an old one, but its tags.
fn takes_version(method: &Method, query: &Parameters) -> bool {
    let asks = |names: &[&str]| query.iter().any(|(name, _)| names.contains(&name.as_str()));
    match *method {
        Method::GET | Method::HEAD | Method::DELETE => {
            !asks(&["acl", "uploadId", "retention", "legal-hold", "torrent"])
        }
        Method::PUT => asks(&["tagging"]),
        _ => false,
    }
}
