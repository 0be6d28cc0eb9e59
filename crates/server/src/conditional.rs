//! Conditions on reading and writing (RFC 9110, section 13), in the order that the RFC gives them.

use std::borrow::Cow;

use file_storage::file::{ETags, PutMode, StorageObject};
use http::HeaderMap;
use http::header::{HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};

use crate::errors::ApiError;

/// What the conditions of a GET or HEAD make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They hold: answer as asked.
    Serve,
    /// The client has it already: 304.
    NotModified,
    /// The client wants another one: 412.
    Failed,
}

/// Weighs the conditions of a read.
pub(crate) fn read(headers: &HeaderMap, object: &StorageObject) -> Verdict {
    if let Some(value) = text(headers, &IF_MATCH) {
        if !strong_tags(&value).contains(&object.etag) {
            return Verdict::Failed;
        }
    } else if seconds(headers, &IF_UNMODIFIED_SINCE).is_some_and(|since| modified(object) > since) {
        return Verdict::Failed;
    }
    if let Some(value) = text(headers, &IF_NONE_MATCH) {
        if weak_tags(&value).contains(&object.etag) {
            return Verdict::NotModified;
        }
    } else if seconds(headers, &IF_MODIFIED_SINCE).is_some_and(|since| modified(object) <= since) {
        return Verdict::NotModified;
    }
    Verdict::Serve
}

/// Whether a range may be served: without `If-Range` always, else only of the very object that it names.
pub(crate) fn range_holds(headers: &HeaderMap, object: &StorageObject) -> bool {
    let Some(value) = text(headers, &IF_RANGE) else { return true };
    if value.contains('"') {
        return match strong_tags(&value) {
            ETags::Any => false,
            tags @ ETags::These(_) => tags.contains(&object.etag),
        };
    }
    seconds(headers, &IF_RANGE).is_some_and(|date| modified(object) == date)
}

/// How a write decides where the path is taken: by its conditions, or else by `otherwise`.
///
/// # Errors
/// Two conditions at once: no one object can be meant by both. A condition on a time.
pub(crate) fn write(headers: &HeaderMap, otherwise: PutMode) -> Result<PutMode, ApiError> {
    no_time(headers)?;
    match (text(headers, &IF_MATCH), text(headers, &IF_NONE_MATCH)) {
        (None, None) => Ok(otherwise),
        (Some(value), None) => Ok(PutMode::IfMatch(strong_tags(&value))),
        (None, Some(value)) => Ok(PutMode::IfNoneMatch(weak_tags(&value))),
        (Some(_), Some(_)) => Err(ApiError::schema("only one of If-Match and If-None-Match can be used")),
    }
}

/// Which object a deletion means: one with one of these tags.
///
/// # Errors
/// A condition on its absence: nobody deletes what is not there. A condition on a time.
pub(crate) fn deletion(headers: &HeaderMap) -> Result<Option<ETags>, ApiError> {
    if headers.contains_key(IF_NONE_MATCH) {
        return Err(ApiError::schema("a deletion takes If-Match, and not If-None-Match"));
    }
    no_time(headers)?;
    Ok(text(headers, &IF_MATCH).map(|value| strong_tags(&value)))
}

/// For what changes something, and weighs no condition: one that is there must not seem to have held.
///
/// # Errors
/// Any condition on what is there.
pub(crate) fn none(headers: &HeaderMap) -> Result<(), ApiError> {
    match [IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE].iter().find(|name| headers.contains_key(*name)) {
        None => Ok(()),
        Some(name) => Err(ApiError::schema(format!("{name} is not supported for this operation"))),
    }
}

/// Refuses a condition on a time, unless one on a tag goes before it (RFC 9110, section 13.1.4).
fn no_time(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.contains_key(IF_UNMODIFIED_SINCE) && !headers.contains_key(IF_MATCH) {
        true => Err(ApiError::schema("if-unmodified-since is not supported for what changes: if-match is")),
        false => Ok(()),
    }
}

/// When the object last changed, in whole seconds, as `Last-Modified` tells it.
fn modified(object: &StorageObject) -> i64 {
    object.updated_at.timestamp()
}

/// The values of a header as one list; several lines are one list (RFC 9110, section 5.3).
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, str>> {
    let mut lines = headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    let first = lines.next()?;
    Some(lines.fold(first, |list, line| Cow::Owned(format!("{list}, {line}"))))
}

/// A date in a header; one that is malformed is ignored, as the RFC wants it.
fn seconds(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    let date = httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()?;
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

/// Tags for strong comparison: weak ones equal nothing.
fn strong_tags(value: &str) -> ETags {
    tags(value, false)
}

/// Tags for weak comparison: `W/` does not count.
fn weak_tags(value: &str) -> ETags {
    tags(value, true)
}

fn tags(value: &str, weak_ones: bool) -> ETags {
    let mut rest = value.trim();
    if rest == "*" {
        return ETags::Any;
    }
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (is_weak, tagged) = match rest.strip_prefix("W/") {
            Some(after) => (true, after),
            None => (false, rest),
        };
        // Tags may contain commas, so that quotes decide where one ends. Some clients forget them.
        let (tag, after) = match tagged.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => tagged.find(',').map_or((tagged, ""), |end| tagged.split_at(end)),
        };
        if (weak_ones || !is_weak) && !tag.trim().is_empty() {
            found.push(tag.trim().to_owned());
        }
        rest = after.trim_start_matches([',', ' ', '\t']);
    }
    ETags::These(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> StorageObject {
        let updated_at = file_storage::Timestamp::from_timestamp(1_700_000_000, 500_000_000).unwrap();
        StorageObject {
            id: uuid::Uuid::nil(),
            bucket: file_storage::BucketName::parse("bucket").unwrap(),
            path: file_storage::ObjectPath::parse("a.txt").unwrap(),
            size: 5,
            content_type: "text/plain".to_owned(),
            cache_control: None,
            checksum: Some(file_storage::file::Sha256::of(b"hello")),
            etag: "tag".to_owned(),
            owner_id: None,
            metadata: serde_json::Map::new(),
            version: uuid::Uuid::nil(),
            versioned: false,
            created_at: updated_at,
            extra: Default::default(),
            updated_at,
        }
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    const AT: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
    const BEFORE: &str = "Tue, 14 Nov 2023 22:13:19 GMT";

    #[track_caller]
    fn check(lines: &[(&'static str, &str)], wanted: Verdict) {
        assert_eq!(read(&headers(lines), &object()), wanted, "{lines:?}");
    }

    #[test]
    fn conditions_are_weighed_in_the_order_of_the_rfc() {
        use Verdict::{Failed, NotModified, Serve};
        check(&[], Serve);
        check(&[("if-none-match", "\"tag\"")], NotModified);
        check(&[("if-none-match", "W/\"tag\"")], NotModified);
        check(&[("if-none-match", "\"other\", \"tag\"")], NotModified);
        check(&[("if-none-match", "\"other\""), ("if-none-match", "\"tag\"")], NotModified);
        check(&[("if-none-match", "\"ot,her\",\"tag\"")], NotModified);
        check(&[("if-none-match", "tag")], NotModified);
        check(&[("if-none-match", "*")], NotModified);
        check(&[("if-none-match", "\"other\"")], Serve);
        check(&[("if-none-match", "\"other\""), ("if-modified-since", AT)], Serve);
        check(&[("if-modified-since", AT)], NotModified);
        check(&[("if-modified-since", BEFORE)], Serve);
        check(&[("if-modified-since", "yesterday")], Serve);
        check(&[("if-match", "\"tag\"")], Serve);
        check(&[("if-match", "*")], Serve);
        check(&[("if-match", "W/\"tag\"")], Failed);
        check(&[("if-match", "\"other\"")], Failed);
        check(&[("if-match", "\"tag\""), ("if-unmodified-since", BEFORE)], Serve);
        check(&[("if-unmodified-since", AT)], Serve);
        check(&[("if-unmodified-since", BEFORE)], Failed);
        check(&[("if-match", "\"other\""), ("if-none-match", "\"tag\"")], Failed);
        check(&[("if-match", "\"tag\""), ("if-none-match", "\"tag\"")], NotModified);
    }

    #[test]
    fn a_range_holds_for_the_object_that_it_names() {
        let check = |value: &str, wanted| {
            assert_eq!(range_holds(&headers(&[("if-range", value)]), &object()), wanted);
        };
        assert!(range_holds(&HeaderMap::new(), &object()));
        check("\"tag\"", true);
        check("W/\"tag\"", false);
        check("\"other\"", false);
        check(AT, true);
        check(BEFORE, false);
        check("nonsense", false);
    }

    #[test]
    fn a_write_takes_one_condition() {
        let mode = |lines: &[(&'static str, &str)]| write(&headers(lines), PutMode::Upsert);
        assert_eq!(mode(&[]).unwrap(), PutMode::Upsert);
        assert_eq!(mode(&[("if-none-match", "*")]).unwrap(), PutMode::IfNoneMatch(ETags::Any));
        let these = ETags::These(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(mode(&[("if-match", "\"a\", \"b\"")]).unwrap(), PutMode::IfMatch(these));
        assert_eq!(mode(&[("if-match", "W/\"a\"")]).unwrap(), PutMode::IfMatch(ETags::These(Vec::new())));
        assert!(mode(&[("if-match", "*"), ("if-none-match", "*")]).is_err());
    }
}
