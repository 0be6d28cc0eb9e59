//! Parameters in a URL's query. Unknown ones are ignored.

use std::borrow::Cow;
use std::str::FromStr;

use http::Uri;
use percent_encoding::percent_decode_str;

use crate::errors::ApiError;

/// The first value of a parameter, decoded; empty where it stands without one.
pub(crate) fn parameter<'a>(uri: &'a Uri, name: &str) -> Option<Cow<'a, str>> {
    uri.query()?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then(|| decode(value))
    })
}

/// A parameter that the route can't do without.
pub(super) fn required<'a>(uri: &'a Uri, name: &str) -> Result<Cow<'a, str>, ApiError> {
    parameter(uri, name)
        .ok_or_else(|| ApiError::schema(format!("querystring must have required property '{name}'")))
}

/// A parameter that is a number.
pub(crate) fn number<T: FromStr>(uri: &Uri, name: &str) -> Result<Option<T>, ApiError> {
    let Some(text) = parameter(uri, name) else { return Ok(None) };
    let wrong = |_| ApiError::schema(format!("querystring/{name} must be integer"));
    text.parse().map(Some).map_err(wrong)
}

/// A parameter that is a switch: on where it is `true` or `1`, or stands without a value.
pub(super) fn switch(uri: &Uri, name: &str) -> Result<bool, ApiError> {
    match parameter(uri, name).as_deref() {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1" | "") => Ok(true),
        Some(_) => Err(ApiError::schema(format!("querystring/{name} must be boolean"))),
    }
}

fn decode(value: &str) -> Cow<'_, str> {
    if value.contains('+') {
        let spaced = value.replace('+', " ");
        return Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned());
    }
    percent_decode_str(value).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_and_decoded() {
        let uri: Uri = "/x?download&token=a.b&name=a+b%26c&n=12&bad=x&n=13".parse().unwrap();
        assert_eq!(parameter(&uri, "download").as_deref(), Some(""));
        assert_eq!(parameter(&uri, "token").as_deref(), Some("a.b"));
        assert_eq!(parameter(&uri, "name").as_deref(), Some("a b&c"));
        assert_eq!(parameter(&uri, "nothing"), None);
        assert_eq!(number::<u32>(&uri, "n").unwrap(), Some(12));
        assert!(number::<u32>(&uri, "bad").is_err());
        assert!(switch(&uri, "download").unwrap() && !switch(&uri, "nothing").unwrap());
        assert!(switch(&uri, "bad").is_err());
        assert!(required(&uri, "nothing").is_err());
    }
}
