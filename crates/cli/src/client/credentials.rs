//! Who the caller is: a token given, or the service key of a data directory on this machine.

use std::fmt;

use crate::args::Global;
use crate::failure::Failure;

/// A JWT. Has no way into a message: neither `Display` nor a telling `Debug`.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// The token itself, for the `Authorization` header.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// A token that may stand in a header.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::Usage("the token given is not a JWT".to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The caller's token, if any; without one the server sees `anon`.
pub(super) fn find(global: &Global, _loopback: bool) -> Result<Option<Token>, Failure> {
    match global.token.as_deref() {
        Some(token) if !token.is_empty() => Token::parse(token).map(Some),
        Some(_) | None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn a_token_never_shows_itself() {
        let token = Token::parse(" secret.jwt.text\n").unwrap();
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert_eq!(token.reveal(), "secret.jwt.text");
        assert!(Token::parse("two words").is_err() && Token::parse("").is_err());
    }
}
