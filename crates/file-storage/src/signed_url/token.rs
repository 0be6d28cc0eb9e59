//! Compact JWTs, of one algorithm and with keys of our own. A token's header chooses among our keys by id, and
//! nothing else: its algorithm is compared, never followed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{SigningKeys, invalid};
use crate::errors::StorageError;

/// Tokens longer than this are not looked at: ours hold at most a bucket name and a path.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

/// Signs claims with the current key.
pub(super) fn sign(keys: &SigningKeys, claims: &impl Serialize) -> String {
    let key = keys.current();
    let header = Header { alg: "HS256", typ: "JWT", kid: key.id() };
    let mut token = encode(&header);
    token.push('.');
    token.push_str(&encode(claims));
    let tag = key.sign(token.as_bytes());
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(tag.as_ref()));
    token
}

fn encode(part: &impl Serialize) -> String {
    // Our own structs of strings, numbers and UUIDs always serialize.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).unwrap_or_default())
}

/// Verifies a token's signature and reads its claims.
pub(super) fn verify<T: DeserializeOwned>(keys: &SigningKeys, token: &str) -> Result<T, StorageError> {
    let malformed = || invalid("the token is malformed");
    if token.len() > MAX_TOKEN_BYTES {
        return Err(malformed());
    }
    let (message, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
    let (header, claims) = message.split_once('.').ok_or_else(malformed)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
    let header = decode(header)?;
    let header: Header<'_> = serde_json::from_slice(&header).map_err(|_| malformed())?;
    let key = keys.find(header.kid).filter(|_| header.alg == "HS256");
    let key = key.ok_or_else(|| invalid("the token was not signed by this server"))?;
    if !key.verifies(message.as_bytes(), &decode(signature)?) {
        return Err(invalid("the signature does not match"));
    }
    serde_json::from_slice(&decode(claims)?).map_err(|_| invalid("the token is of another kind"))
}
