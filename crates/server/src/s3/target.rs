//! What a request is about: found out once, from its path or its host, before anybody is asked for leave.

use std::borrow::Cow;

use file_storage::{BucketName, ObjectPath};
use http::Uri;
use percent_encoding::percent_decode_str;

use super::failure::Failure;

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// The account: all buckets.
    Service,
    /// A bucket.
    Bucket(BucketName),
    /// An object.
    Object(BucketName, ObjectPath),
}

/// Where in the request's path S3 begins, and which bucket the host names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mount<'a> {
    /// Taken off the path's beginning.
    pub(super) base: &'a str,
    /// Hosts below which the first label is a bucket.
    pub(super) domains: &'a [String],
}

impl Target {
    /// Finds it. `host` is what the client calls the server.
    ///
    /// # Errors
    /// A bucket or key that can't be.
    pub(super) fn of(uri: &Uri, host: Option<&str>, mount: Mount<'_>) -> Result<Self, Failure> {
        let path = uri.path().strip_prefix(mount.base).unwrap_or_default();
        let path = path.strip_prefix('/').unwrap_or(path);
        let (bucket, key) = match host.and_then(|host| bucket_of_host(host, mount.domains)) {
            Some(bucket) => (Cow::Owned(bucket), path),
            None => {
                let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
                (decoded(bucket)?, key)
            }
        };
        if bucket.is_empty() && key.is_empty() {
            return Ok(Self::Service);
        }
        let bucket = BucketName::parse(&bucket)?;
        if key.is_empty() {
            return Ok(Self::Bucket(bucket));
        }
        Ok(Self::Object(bucket, ObjectPath::parse(&decoded(key)?)?))
    }

    pub(super) fn bucket(&self) -> Option<&BucketName> {
        match self {
            Self::Service => None,
            Self::Bucket(bucket) | Self::Object(bucket, _) => Some(bucket),
        }
    }

    pub(super) fn path(&self) -> Option<&ObjectPath> {
        match self {
            Self::Object(_, path) => Some(path),
            Self::Service | Self::Bucket(_) => None,
        }
    }
}

/// The bucket that a host begins with, where it ends with one of ours.
fn bucket_of_host(host: &str, domains: &[String]) -> Option<String> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
    domains.iter().find_map(|domain| {
        let bucket = name.strip_suffix(domain.as_str())?.strip_suffix('.')?;
        (!bucket.is_empty()).then(|| bucket.to_owned())
    })
}

/// Decodes once. A `+` is a plus: this is a path, no form.
fn decoded(text: &str) -> Result<Cow<'_, str>, Failure> {
    let refuse = || Failure::bad_request("InvalidURI", "The path is not valid UTF-8 once decoded");
    percent_decode_str(text).decode_utf8().map_err(|_| refuse())
}

/// Names and values of a query, in its order.
pub(super) type Parameters = [(String, String)];

/// The parameters of a query, decoded as forms are. A name without a value has an empty one.
pub(super) fn parameters(uri: &Uri) -> Vec<(String, String)> {
    let decode = |text: &str| match text.contains(['%', '+']) {
        true => percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned(),
        false => text.to_owned(),
    };
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uri: &str, host: &str, bucket: Option<&str>, path: Option<&str>) {
        let domains = ["s3.example.org".to_owned()];
        let mount = Mount { base: "/storage/v1/s3", domains: &domains };
        let target = Target::of(&uri.parse().unwrap(), Some(host), mount).unwrap();
        assert_eq!(target.bucket().map(BucketName::as_str), bucket, "{uri} {host}");
        assert_eq!(target.path().map(ObjectPath::as_str), path, "{uri} {host}");
    }

    #[test]
    fn a_target_is_found_in_path_or_host_and_decoded_once() {
        let plain = "127.0.0.1:8000";
        check("/storage/v1/s3", plain, None, None);
        check("/storage/v1/s3/", plain, None, None);
        check("/storage/v1/s3/b", plain, Some("b"), None);
        check("/storage/v1/s3/b/", plain, Some("b"), None);
        check("/storage/v1/s3/b/a%20b/%C3%A4+c%252F", plain, Some("b"), Some("a b/ä+c%2F"));
        check("/storage/v1/s3/b/a//b/", plain, Some("b"), Some("a//b/"));
        check("/storage/v1/s3/a/b", "bucket.s3.example.org:80", Some("bucket"), Some("a/b"));
        check("/storage/v1/s3/a/b", "s3.example.org", Some("a"), Some("b"));
        check("/storage/v1/s3/", "my.bucket.s3.example.org", Some("my.bucket"), None);
    }

    #[test]
    fn what_no_object_can_be_called_is_refused() {
        let mount = Mount { base: "", domains: &[] };
        for bad in ["/b/..", "/b/a/../c", "/b/%2e%2e/c", "/b/%00", "/b/%ff", "//x", "/b//x"] {
            assert!(Target::of(&bad.parse().unwrap(), None, mount).is_err(), "{bad}");
        }
    }
}
