//! What a request is about: found out once, from its path and its host, before anybody is asked for leave.
//!
//! One host and one path mean one thing, on whichever listener they come in: of a signed request, those that its signer signed.

use std::borrow::Cow;

use file_storage::{BucketName, ObjectPath};
use http::Uri;
use percent_encoding::percent_decode_str;

use super::BASE;
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
    /// Whether S3 has the listener for itself, and begins at its root.
    pub(super) is_alone: bool,
    /// What stands before the path of the server's own routes, where clients see them: the path of `server.public_url`.
    pub(super) prefix: &'a str,
    /// Hosts below which the first label is a bucket.
    pub(super) domains: &'a [String],
}

impl Mount<'_> {
    /// A path below S3's beginning, without a slash in front.
    ///
    /// IMPORTANT: what is below [`BASE`] means the same on every listener. A URL that was signed for one of them would else be
    /// good for another object on the other.
    fn below<'p>(&self, path: &'p str) -> Result<&'p str, Failure> {
        let rest = match self.is_alone {
            false => path.strip_prefix(BASE).unwrap_or_default(),
            true => match self.below_base(path) {
                Some(rest) => rest,
                // Signatures are verified over what is decoded, too.
                None if self.below_base(&percent_decode_str(path).decode_utf8_lossy()).is_some() => {
                    let message = "The path is encoded where it need not be";
                    return Err(Failure::bad_request("InvalidURI", message));
                }
                None => path,
            },
        };
        Ok(rest.strip_prefix('/').unwrap_or(rest))
    }

    /// What is below the base, as clients see it on the main listener, or as a proxy passes it on.
    fn below_base<'p>(&self, path: &'p str) -> Option<&'p str> {
        let below =
            |path: &'p str| path.strip_prefix(BASE).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        path.strip_prefix(self.prefix).and_then(below).or_else(|| below(path))
    }
}

impl Target {
    /// Finds it. `host` is what the client calls the server.
    ///
    /// # Errors
    /// A bucket or key that can't be.
    pub(super) fn of(uri: &Uri, host: Option<&str>, mount: Mount<'_>) -> Result<Self, Failure> {
        let path = mount.below(uri.path())?;
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

    fn of(uri: &str, host: &str, is_alone: bool) -> Result<Target, Failure> {
        let domains = ["s3.example.org".to_owned()];
        Target::of(&uri.parse().unwrap(), Some(host), Mount { is_alone, prefix: "/files", domains: &domains })
    }

    #[track_caller]
    fn check(uri: &str, host: &str, bucket: Option<&str>, path: Option<&str>) {
        let target = of(uri, host, false).unwrap();
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
    fn a_path_below_the_base_means_the_same_on_every_listener() {
        for host in ["127.0.0.1:8000", "bucket.s3.example.org"] {
            for rest in ["", "/", "/b", "/b/k", "/b/storage/v1/s3/k"] {
                let base = format!("{BASE}{rest}");
                let wanted = of(&base, host, false).unwrap();
                assert_eq!(of(&base, host, true).unwrap(), wanted, "{base} {host}");
                assert_eq!(of(&format!("/files{base}"), host, true).unwrap(), wanted, "{base} {host}");
            }
        }
        for encoded in
            ["/storage/v1%2Fs3/b/k", "/storage%2Fv1/s3/b/k", "/%66iles/storage/v1/s3/b", "/storage/v1/s%33"]
        {
            assert!(of(encoded, "h", true).is_err(), "{encoded}");
        }
        let other = of("/storage/v1/s3x/k", "h", true).unwrap();
        assert_eq!(other.bucket().map(BucketName::as_str), Some("storage"));
    }

    #[test]
    fn what_no_object_can_be_called_is_refused() {
        for bad in ["/b/..", "/b/a/../c", "/b/%2e%2e/c", "/b/%00", "/b/%ff", "//x", "/b//x"] {
            assert!(of(bad, "h", true).is_err(), "{bad}");
        }
    }
}
