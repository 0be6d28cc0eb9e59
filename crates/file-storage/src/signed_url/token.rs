//! Compact JWTs, of one algorithm and with keys of our own. A token's header must be, to the letter, one that we
//! write: it chooses among our keys and nothing else, so that no algorithm of a caller is ever followed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{SigningKey, SigningKeys, invalid};
use crate::errors::StorageError;

/// Tokens longer than this are not looked at: ours fit into a URL that passes every proxy.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Signs claims with the current key.
pub(super) fn sign(keys: &SigningKeys, claims: &impl Serialize) -> String {
    let key = keys.current();
    // Our own structs of strings, numbers and UUIDs always serialize.
    let claims = serde_json::to_vec(claims).unwrap_or_default();
    let mut token = key.header().to_owned();
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let tag = key.sign(token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(tag.as_ref(), &mut token);
    token
}

/// Verifies a token's signature and reads its claims. Also gives the key that signed it.
pub(super) fn verify<'k, T: DeserializeOwned>(
    keys: &'k SigningKeys,
    token: &str,
) -> Result<(T, &'k SigningKey), StorageError> {
    let malformed = || invalid("the token is malformed");
    if token.len() > MAX_TOKEN_BYTES {
        return Err(malformed());
    }
    let (message, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
    let (header, claims) = message.split_once('.').ok_or_else(malformed)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
    let key = keys.of_header(header).ok_or_else(|| invalid("the token was not signed by this server"))?;
    if !key.verifies(message.as_bytes(), &decode(signature)?) {
        return Err(invalid("the signature does not match"));
    }
    let claims = serde_json::from_slice(&decode(claims)?);
    Ok((claims.map_err(|_| invalid("the token is of another kind"))?, key))
}
