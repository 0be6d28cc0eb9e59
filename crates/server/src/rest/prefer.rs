//! `Prefer` (RFC 7240): what a client would rather have, where it can be had.

use http::{HeaderMap, HeaderName};

/// What an answer says of the preferences that it heeds.
pub(super) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The preference not to wait.
pub(super) const RESPOND_ASYNC: &str = "respond-async";

/// Whether the client does not want to wait for what can be done later.
pub(super) fn wants_async(headers: &HeaderMap) -> bool {
    let lists = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(names).any(|name| name.eq_ignore_ascii_case(RESPOND_ASYNC))
}

/// The names of a list of preferences, without their values and parameters.
fn names(list: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let preferences = list.split(move |c: char| {
        // A comma between quotes is a part of a value.
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' => return !quoted,
            _ => {}
        }
        false
    });
    preferences.map(|preference| preference.split([';', '=']).next().unwrap_or_default().trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_preference_is_found_among_others_and_nowhere_else() {
        let check = |values: &[&'static str], wanted: bool| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", HeaderValue::from_static(value));
            }
            assert_eq!(wants_async(&headers), wanted, "{values:?}");
        };
        check(&["respond-async"], true);
        check(&["Respond-Async, wait=10"], true);
        check(&["return=minimal,\trespond-async; foo=bar"], true);
        check(&["return=minimal", "respond-async"], true);
        check(&["x=\"a \\\" b\", respond-async"], true);
        check(&["respond-async=\"\""], true);
        check(&[], false);
        check(&[""], false);
        check(&["respond-asynchronously"], false);
        check(&["x=respond-async"], false);
        check(&["x=\"a, respond-async\""], false);
        check(&["x=\"a \\\", respond-async\""], false);
        check(&["x; respond-async"], false);
    }
}
