//! Where in a request the token is.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

use super::AuthError;

/// The name under which API gateways pass a token.
const API_KEY: HeaderName = HeaderName::from_static("apikey");

/// Longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The token of a request, or none. `Authorization` decides where both are there: a bad bearer token is not saved
/// by a good `apikey`.
pub(super) fn token(headers: &HeaderMap) -> Result<Option<&str>, AuthError> {
    let token = match single(headers, &AUTHORIZATION)? {
        Some(header) => bearer(header)?,
        None => match single(headers, &API_KEY)? {
            Some(key) => key.trim(),
            None => return Ok(None),
        },
    };
    sound(token).map(Some)
}

/// A token that is worth being looked at.
pub(super) fn sound(token: &str) -> Result<&str, AuthError> {
    if token.is_empty() {
        return Err(AuthError::invalid("the token is empty"));
    }
    if token.len() > MAX_TOKEN_BYTES {
        return Err(AuthError::invalid("the token is too long"));
    }
    Ok(token)
}

/// The one value of a header; two of them are no way to ask.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, AuthError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(AuthError::invalid("the token is sent more than once"));
    }
    value.to_str().map(Some).map_err(|_| AuthError::invalid("the token is malformed"))
}

fn bearer(header: &str) -> Result<&str, AuthError> {
    let header = header.trim();
    let (word, token) = header.split_once(' ').unwrap_or((header, ""));
    if !word.eq_ignore_ascii_case("bearer") {
        return Err(AuthError::invalid("only bearer tokens are accepted"));
    }
    Ok(token.trim())
}
