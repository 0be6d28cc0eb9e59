//! Bucket and path in a URL: percent-decoded once, and checked, before anything is authorized.

use std::borrow::Cow;

use file_storage::path::PathRules;
use file_storage::{BucketName, ObjectPath, StorageError};
use percent_encoding::percent_decode_str;

/// The two undecoded parts of a URL path below a route's prefix: `{bucket}/{path}`. Without a slash, there is no path.
pub(super) fn split<'a>(url_path: &'a str, prefix: &str) -> (&'a str, &'a str) {
    let rest = url_path.strip_prefix(prefix).unwrap_or_default();
    rest.split_once('/').unwrap_or((rest, ""))
}

/// The bucket that a URL segment names.
pub(super) fn bucket(segment: &str) -> Result<BucketName, StorageError> {
    let refuse = |reason| StorageError::InvalidBucketName { name: lossy(segment), reason };
    let name = decode(segment).map_err(refuse)?;
    BucketName::parse(&name)
}

/// The path of an object that is looked for.
pub(super) fn existing(rest: &str) -> Result<ObjectPath, StorageError> {
    ObjectPath::parse(&decoded_path(rest)?)
}

/// The path of an object that is to be made.
pub(super) fn new(rest: &str, rules: PathRules) -> Result<ObjectPath, StorageError> {
    ObjectPath::parse_new(&decoded_path(rest)?, rules)
}

fn decoded_path(rest: &str) -> Result<Cow<'_, str>, StorageError> {
    decode(rest).map_err(|reason| StorageError::InvalidPath { path: lossy(rest), reason })
}

fn decode(text: &str) -> Result<Cow<'_, str>, &'static str> {
    if !text.as_bytes().contains(&b'%') {
        return Ok(Cow::Borrowed(text));
    }
    if !has_whole_escapes(text) {
        return Err("every '%' is followed by two hexadecimal digits");
    }
    percent_decode_str(text).decode_utf8().map_err(|_| "it is valid UTF-8 once decoded")
}

/// A lone `%` is refused: one server would keep it and the next one would not.
fn has_whole_escapes(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .all(|after| after.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

fn lossy(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sent: &str, wanted: Option<&str>) {
        assert_eq!(existing(sent).ok().as_ref().map(ObjectPath::as_str), wanted, "{sent}");
    }

    #[test]
    fn a_path_is_decoded_exactly_once() {
        check("a/b.txt", Some("a/b.txt"));
        check("a%20b/%C3%A4", Some("a b/ä"));
        check("a+b", Some("a+b"));
        check("a%2Fb", Some("a/b"));
        check("a%252e%252e", Some("a%2e%2e"));
        check("%2e%2e/x", None);
        check("a/%2E./x", None);
        check("a/../x", None);
        check("a%00b", None);
        check("a%0Ab", None);
        check("%ff", None);
        check("100%", None);
        check("a%zz", None);
        check("%2Fabs", None);
        check("", None);
        check("/a", None);
    }

    #[test]
    fn the_first_slash_ends_the_bucket() {
        assert_eq!(split("/object/b/a/c", "/object/"), ("b", "a/c"));
        assert_eq!(split("/object/b", "/object/"), ("b", ""));
        assert_eq!(split("/object/b/", "/object/"), ("b", ""));
        assert!(bucket("a%2Fb").is_err());
        assert!(bucket("..").is_err());
        assert_eq!(bucket("a%20b").unwrap().as_str(), "a b");
    }
}
