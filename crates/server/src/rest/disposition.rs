//! `Content-Disposition: attachment` (RFC 6266). A file's name is a user's word: nothing of it gets into a header
//! unencoded but letters that can't end a value.

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What `encodeURIComponent` leaves as it is.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// What may stand in an extended value (RFC 8187, attr-char).
const EXTENDED: &AsciiSet = &COMPONENT.add(b'*').add(b'\'').add(b'(').add(b')');

/// Longest name that is passed on, in bytes.
const MAX_NAME_BYTES: usize = 1024;

/// For the native dialect: a quoted name that old clients understand, and the true one.
pub(super) fn attachment(name: &str) -> HeaderValue {
    let name = bounded(name);
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let exact = utf8_percent_encode(name, EXTENDED);
    header(format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}"))
}

/// As Supabase writes it; without a name, the word alone.
pub(super) fn supabase_attachment(name: &str) -> HeaderValue {
    if name.is_empty() {
        return HeaderValue::from_static("attachment;");
    }
    let encoded = utf8_percent_encode(bounded(name), COMPONENT);
    header(format!("attachment; filename={encoded}; filename*=UTF-8''{encoded};"))
}

/// Not longer than a header should be, cut between characters.
fn bounded(name: &str) -> &str {
    let mut end = name.len().min(MAX_NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default()
}

fn is_plain(c: char) -> bool {
    (c.is_ascii_graphic() || c == ' ') && !"\"\\/%".contains(c)
}

fn header(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_and_inject_nothing() {
        let check = |name: &str, wanted: &str| assert_eq!(attachment(name), wanted, "{name}");
        check("a.txt", "attachment; filename=\"a.txt\"; filename*=UTF-8''a.txt");
        check("my file.txt", "attachment; filename=\"my file.txt\"; filename*=UTF-8''my%20file.txt");
        check("ä\".txt", "attachment; filename=\"__.txt\"; filename*=UTF-8''%C3%A4%22.txt");
        check("a\r\nx: y", "attachment; filename=\"a__x: y\"; filename*=UTF-8''a%0D%0Ax%3A%20y");
        check("../a\\b", "attachment; filename=\".._a_b\"; filename*=UTF-8''..%2Fa%5Cb");
        assert_eq!(supabase_attachment(""), "attachment;");
        let wanted = "attachment; filename=my%20file%20%C3%A4.txt; filename*=UTF-8''my%20file%20%C3%A4.txt;";
        assert_eq!(supabase_attachment("my file ä.txt"), wanted);
        assert!(attachment(&"ä".repeat(5000)).len() < 8000);
    }
}
