//! Where something lies: `aero://BUCKET/PATH` on the server, anything else on this machine, `-` for
//! stdin and stdout.
//!
//! Only what would change its meaning on the way is refused here (`..`); all other rules for names
//! are the server's, which says them better.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The scheme of addresses on the server.
pub(crate) const SCHEME: &str = "aero://";

/// A source or target of `cp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// stdin or stdout.
    Stdio,
    /// A file or directory on this machine.
    Local(PathBuf),
    /// A place on the server.
    Remote(Remote),
}

/// A bucket and what follows it: a path, a folder (ends in `/`), or nothing. A version is never part of what is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    /// The bucket's name.
    pub(crate) bucket: String,
    /// The object's path; empty for the bucket itself.
    pub(crate) path: String,
    /// The version that is meant, where it is not the current one.
    pub(crate) version: Option<String>,
}

impl Remote {
    /// What is current at a path of a bucket.
    pub(crate) fn new(bucket: &str, path: impl Into<String>) -> Self {
        Self { bucket: bucket.to_owned(), path: path.into(), version: None }
    }

    /// A version of the object at the same place.
    pub(crate) fn at_version(self, version: &str) -> Self {
        Self { version: Some(version.to_owned()), ..self }
    }

    /// Whether the address names a folder: the bucket itself or a path that ends in `/`.
    pub(crate) fn is_folder(&self) -> bool {
        self.path.is_empty() || self.path.ends_with('/')
    }

    /// The same address as a folder.
    pub(crate) fn as_folder(&self) -> Self {
        let slash = if self.is_folder() { "" } else { "/" };
        Self::new(&self.bucket, format!("{}{slash}", self.path))
    }

    /// `name` below this folder.
    pub(crate) fn join(&self, name: &str) -> Self {
        Self::new(&self.bucket, format!("{}{name}", self.as_folder().path))
    }

    /// `BUCKET`, or `BUCKET/PATH`, as the server calls folders.
    pub(crate) fn name(&self) -> String {
        let Self { bucket, path, .. } = self;
        if path.is_empty() { bucket.clone() } else { format!("{bucket}/{path}") }
    }

    /// The last segment of the path.
    pub(crate) fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The same address, refused where it does not name an object.
    pub(crate) fn object(self) -> Result<Self, String> {
        if self.is_folder() {
            return Err(format!("`{self}` names no object; write {SCHEME}BUCKET/PATH"));
        }
        Ok(self)
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.bucket, self.path)?;
        self.version.iter().try_for_each(|version| write!(f, " (version {version})"))
    }
}

impl FromStr for Remote {
    type Err = String;

    /// The scheme may be left out where only a place on the server makes sense.
    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix(SCHEME).unwrap_or(text);
        let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(format!("`{text}` names no bucket; write {SCHEME}BUCKET/PATH"));
        }
        if bucket.contains(':') || matches!(bucket, "." | "..") {
            return Err(format!("`{text}` is no address on the server; write {SCHEME}BUCKET/PATH"));
        }
        if path.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(format!("`{text}`: `.` and `..` are no path segments on the server"));
        }
        Ok(Self::new(bucket, path))
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("an empty path names nothing".to_owned()),
            "-" => Ok(Self::Stdio),
            remote if remote.starts_with(SCHEME) => remote.parse().map(Self::Remote),
            other if other.contains("://") => Err(format!("`{other}`: only {SCHEME}BUCKET/PATH is known")),
            local => Ok(Self::Local(PathBuf::from(local))),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdio => f.write_str("-"),
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::Remote(remote) => remote.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let remote = |bucket: &str, path: &str| Some(Address::Remote(Remote::new(bucket, path)));
        let check = |text: &str, expected: Option<Address>| {
            assert_eq!(text.parse::<Address>().ok(), expected, "{text}");
        };
        check("aero://b", remote("b", ""));
        check("aero://b/", remote("b", ""));
        check("aero://b/a/c.txt", remote("b", "a/c.txt"));
        check("aero://b/dir/", remote("b", "dir/"));
        check("-", Some(Address::Stdio));
        check("b/a", Some(Address::Local("b/a".into())));
        check("./aero", Some(Address::Local("./aero".into())));
        check("/tmp/../x", Some(Address::Local("/tmp/../x".into())));
        for bad in ["", "aero://", "aero:///x", "aero://b/../c", "aero://b/./c", "s3://b/c"] {
            check(bad, None);
        }
    }

    #[test]
    fn the_scheme_may_be_left_out_on_the_server() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(text.parse::<Remote>().ok().map(|r| r.to_string()).as_deref(), expected, "{text}");
        };
        check("b/x", Some("aero://b/x"));
        check("aero://b/x", Some("aero://b/x"));
        check("/b/x", None);
        check("s3://b/x", None);
        check("..", None);
    }

    #[test]
    fn folders_and_names() {
        let remote = |text: &str| text.parse::<Remote>().unwrap();
        assert!(remote("b").is_folder() && remote("b/x/").is_folder() && !remote("b/x").is_folder());
        assert_eq!(remote("b").join("y"), remote("b/y"));
        assert_eq!(remote("b/x").join("y/z"), remote("b/x/y/z"));
        assert_eq!(remote("b/x/y.png").file_name(), "y.png");
        assert!(remote("b/x/").object().is_err() && remote("b/x").object().is_ok());
    }
}
