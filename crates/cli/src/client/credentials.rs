//! Who the caller is: a token given, or the service key of a data directory on this machine.

use std::fmt;

use server::secrets::Keys;

use crate::args::Global;
use crate::failure::Failure;
use crate::settings;

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
pub(super) fn find(global: &Global, loopback: bool) -> Result<Option<Token>, Failure> {
    if let Some(token) = global.token.as_deref().filter(|token| !token.is_empty()) {
        return Token::parse(token).map(Some);
    }
    keys_of_data_dir(global, loopback)?.map(|keys| Token::parse(&keys.service_key)).transpose()
}

/// The keys of a data directory, where they may be used.
///
/// They are shown to the server that was asked for only if the user named that directory, or the server is on this
/// machine: a key that lies about is not for strangers.
pub(crate) fn keys_of_data_dir(global: &Global, loopback: bool) -> Result<Option<Keys>, Failure> {
    let by_variable = std::env::var_os(settings::DATA_DIR_VARIABLE).is_some_and(|value| !value.is_empty());
    let named = global.data_dir.is_some() || global.config.is_some() || by_variable;
    if !named && !loopback {
        return Ok(None);
    }
    let key = || -> Result<Keys, Failure> {
        let config = settings::load(global, Vec::new())?.config;
        let keys = settings::secrets(&config)?.keys().map_err(anyhow::Error::from)?;
        Ok(keys)
    };
    match key() {
        Ok(keys) => Ok(Some(keys)),
        Err(_) if !named => Ok(None),
        Err(failure) => Err(failure),
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
