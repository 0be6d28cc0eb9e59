//! The public keys of a JSON Web Key Set, each with the one algorithm it may be used with.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// More keys than any issuer has: a token without key id is tried against each of them.
const MAX_KEYS: usize = 32;

/// A key that verifies tokens.
pub(super) struct PublicKey {
    pub(super) id: Option<String>,
    /// Decided by the key's own kind, never by a token's header.
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// All keys of a set that this server can use.
#[derive(Default)]
pub(super) struct KeySet {
    keys: Vec<PublicKey>,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a set. Keys for other purposes and of other kinds are left out, as RFC 7517 (section 5) asks.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let document: Document =
            serde_json::from_slice(text).map_err(|error| format!("is no JSON Web Key Set: {error}"))?;
        let keys: Vec<_> = document.keys.into_iter().filter_map(public_key).take(MAX_KEYS).collect();
        if keys.is_empty() {
            return Err("has no key that could verify a token (RS256, ES256 or EdDSA)".to_owned());
        }
        Ok(Self { keys })
    }

    /// The keys that may have signed a token with this header.
    pub(super) fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<&PublicKey> {
        let named = |key: &&PublicKey| id.is_none() || key.id.as_deref() == id;
        self.keys.iter().filter(named).filter(|key| key.algorithm == algorithm).collect()
    }

    /// Whether a key of that name is there, whatever its algorithm.
    pub(super) fn has(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id.as_deref() == Some(id))
    }
}

fn public_key(value: Value) -> Option<PublicKey> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        // Other curves; and symmetric keys, which have no place in a set that is published.
        _ => return None,
    };
    let for_it = jwk.common.key_algorithm.is_none_or(|declared| declared == algorithm.into());
    let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let verifies = jwk.common.key_operations.as_ref().is_none_or(|ops| ops.contains(&KeyOperations::Verify));
    if !(for_it && signs && verifies) {
        return None;
    }
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some(PublicKey { id: jwk.common.key_id, algorithm, key })
}
