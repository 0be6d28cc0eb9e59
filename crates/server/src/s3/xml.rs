//! What XML can say, and what of it is taken.

use std::borrow::Cow;

use super::failure::Failure;

/// Whether XML 1.0 has a character. Not all control characters, and not U+FFFE and U+FFFF.
pub(super) fn has(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}'))
}

/// A text with U+FFFD for each character that XML can't have.
pub(super) fn tellable(text: &str) -> Cow<'_, str> {
    match text.chars().all(has) {
        true => Cow::Borrowed(text),
        false => text.chars().map(|c| if has(c) { c } else { char::REPLACEMENT_CHARACTER }).collect(),
    }
}

/// Text between tags. Characters that XML can't have are left out.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\r' => safe.push_str("&#13;"),
            c if has(c) => safe.push(c),
            _ => {}
        }
    }
    safe
}

/// Refuses a document that its reader would understand otherwise than XML does: it leaves out CDATA sections, and so would
/// take one key for another. Declarations of types are refused with them, as nobody sends any.
///
/// # Errors
/// `MalformedXML`.
pub(super) fn check(document: &[u8]) -> Result<(), Failure> {
    let malformed = |message: &'static str| Err(Failure::bad_request("MalformedXML", message));
    let Ok(text) = std::str::from_utf8(document) else { return malformed("The document is not UTF-8") };
    // Comments alone begin so and are taken. Whether one of these stands within a comment is not asked: nothing that begins a
    // comment in one reader's eyes must hide what another one reads.
    let mut declared = text.match_indices("<!").map(|(at, _)| text.get(at + 2..).unwrap_or_default());
    match declared.all(|rest| rest.starts_with("--")) {
        true => Ok(()),
        false => malformed("CDATA sections and declarations are not supported"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_readers_disagree_about_is_refused() {
        for good in ["", "<a/>", "<?xml version=\"1.0\"?><!-- a --><a>&lt;![CDATA[</a>", "<a>x<!---->y</a>"] {
            assert!(check(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [
            "<a>x<![CDATA[y]]></a>",
            "<!DOCTYPE a><a/>",
            "<!doctype a><a/>",
            "<a b=\"<!--\"><![CDATA[y]]><c d=\"-->\"/></a>",
            "<a><!-- <![CDATA[y]]> --></a>",
        ] {
            assert!(check(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(check(b"\xff\xfe<\0a\0").is_err());
    }

    #[test]
    fn text_has_only_what_xml_can_say() {
        assert_eq!(escaped("a<\u{1}\u{fffe}\u{85}\t"), "a&lt;\u{85}\t");
        assert_eq!(tellable("a\u{1}\u{ffff}\u{10ffff}"), "a\u{fffd}\u{fffd}\u{10ffff}");
        assert!(matches!(tellable("plain"), Cow::Borrowed(_)));
    }
}
