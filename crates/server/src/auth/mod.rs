//! Who is asking (SPEC 3.1).
//!
//! ```text
//! let authenticator = Authenticator::start(&config.auth, &secrets).await?;     // once
//! let caller: RlsContext = authenticator.authenticate(&headers, &request_id).await?;   // every request
//! ```
//!
//! No token is `anon`; a token that is not accepted is an [`AuthError`], which is 401 and never `anon`. Which
//! algorithm verifies a token is decided by the key: secrets verify HS256 alone, a public key the one algorithm
//! of its kind. [`mint_token`] makes tokens. Knows headers, and nothing of routes or bodies.

mod claims;
mod credentials;
mod error;
mod key_set;
mod key_source;
mod members;
mod mint;
#[cfg(test)]
mod tests;
mod verified;

use std::sync::{Arc, Weak};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use file_storage::permissions::RlsContext;
use http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, get_current_timestamp};
use serde_json::{Map, Value};

pub use error::AuthError;
pub use file_storage::permissions::Role;
use key_source::KeySource;
use members::Members;
pub use mint::{MintError, NewToken, mint_token, mint_token_with_claims};
use verified::{Fingerprint, VerifiedTokens};

use crate::config::AuthConfig;
use crate::secrets::Secret;

/// How far clocks may differ, in seconds.
const LEEWAY_SECONDS: u64 = 5;
/// When a key set that could not be read is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Decides who a request comes from.
pub struct Authenticator {
    /// The current secret first, then the previous ones.
    secrets: Vec<DecodingKey>,
    public_keys: Option<Arc<KeySource>>,
    /// What is checked beside the signature; its algorithm is set per key.
    validation: Validation,
    verified: VerifiedTokens,
}

impl Authenticator {
    /// An authenticator with these secrets, and with the key set that the configuration names. A file must be
    /// readable now; a URL may come up later, and until then its tokens are refused.
    ///
    /// # Errors
    /// What is wrong with the key set.
    pub async fn start(
        config: &AuthConfig,
        current: &Secret,
        previous: &[Secret],
    ) -> Result<Self, KeySetError> {
        let secrets = std::iter::once(current).chain(previous);
        let secrets = secrets.map(|secret| DecodingKey::from_secret(secret.expose().as_bytes())).collect();
        let public_keys = public_keys(config).await?;
        Ok(Self { secrets, public_keys, validation: validation(config), verified: VerifiedTokens::new() })
    }

    /// One that takes this one's place, with other secrets and settings. A key set from the same place as before goes on being
    /// used, and is read again now; from a new one, it is waited for, so that no token is refused between.
    ///
    /// # Errors
    /// What is wrong with the key set's file.
    pub async fn successor(
        &self,
        was: &AuthConfig,
        config: &AuthConfig,
        current: &Secret,
        previous: &[Secret],
    ) -> Result<Self, KeySetError> {
        let place =
            |config: &AuthConfig| (config.jwks_file.clone(), config.jwks_url.clone(), config.jwks_refresh);
        let kept = self.public_keys.clone().filter(|_| place(was) == place(config));
        let source = match kept {
            Some(source) => Some(source),
            None => public_keys(config).await?,
        };
        if let Some(source) = &source
            && let Err(problem) = source.refresh().await
        {
            if config.jwks_file.is_some() {
                return Err(KeySetError { place: source.to_string(), problem });
            }
            tracing::warn!(source = %source, problem, "key set not refreshed");
        }
        let secrets = std::iter::once(current).chain(previous);
        let secrets = secrets.map(|secret| DecodingKey::from_secret(secret.expose().as_bytes())).collect();
        // What was verified with other secrets is not known to this one.
        let verified = VerifiedTokens::new();
        Ok(Self { secrets, public_keys: source, validation: validation(config), verified })
    }

    /// Who sent a request with these headers.
    ///
    /// # Errors
    /// [`AuthError`] for a token that is not accepted.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        request_id: impl Into<Arc<str>>,
    ) -> Result<RlsContext, AuthError> {
        match credentials::token(headers)? {
            Some(token) => self.caller(token, request_id.into()).await,
            None => Ok(RlsContext::anon(request_id)),
        }
    }

    /// Whom a token stands for that came another way than in the usual headers.
    ///
    /// # Errors
    /// [`AuthError`] for a token that is not accepted.
    pub async fn authenticate_token(
        &self,
        token: &str,
        request_id: impl Into<Arc<str>>,
    ) -> Result<RlsContext, AuthError> {
        self.caller(credentials::sound(token)?, request_id.into()).await
    }

    /// Who a token stands for, once it is found good: now, or before and still.
    async fn caller(&self, token: &str, request_id: Arc<str>) -> Result<RlsContext, AuthError> {
        // Asked before the keys are used: what a set says that is replaced meanwhile must not count for its successor.
        let key_set = self.public_keys.as_ref().map_or(0, |source| source.version());
        let fingerprint = Fingerprint::of(token);
        let known = fingerprint.and_then(|fingerprint| {
            let now = get_current_timestamp();
            self.verified.find(&fingerprint, key_set, now)
        });
        if let Some(known) = known {
            return Ok(known.for_request(request_id));
        }
        let claims = self.verify(token).await?;
        let expiry = claims.get("exp").and_then(Value::as_u64);
        let caller = claims::caller(claims, request_id)?;
        if let (Some(fingerprint), Some(expiry)) = (fingerprint, expiry) {
            let times = (get_current_timestamp(), expiry.saturating_add(LEEWAY_SECONDS));
            self.verified.keep(fingerprint, key_set, times, caller.clone());
        }
        Ok(caller)
    }

    /// The claims of a token, once its signature, times, audience and issuer are found good.
    async fn verify(&self, token: &str) -> Result<Map<String, Value>, AuthError> {
        let header = jsonwebtoken::decode_header(token)?;
        names_no_member_twice(token)?;
        if header.crit.is_some() {
            // RFC 7515, section 4.1.11: what must be understood, and is not, makes the token invalid.
            return Err(AuthError::invalid("the token demands extensions that are not known"));
        }
        if header.alg == Algorithm::HS256 {
            return self.decode(token, Algorithm::HS256, self.secrets.iter());
        }
        let Some(source) = &self.public_keys else {
            return Err(AuthError::invalid("the token's algorithm is not accepted"));
        };
        let set = match &header.kid {
            Some(id) if !source.current().has(id) => source.refresh_for(id).await,
            Some(_) | None => source.current(),
        };
        let Header { kid, alg, .. } = &header;
        self.decode(token, *alg, set.candidates(kid.as_deref(), *alg).into_iter().map(|key| &key.key))
    }

    /// Verifies with the first key whose signature fits; one that does not fit is no reason to go on looking at
    /// claims.
    fn decode<'a>(
        &self,
        token: &str,
        algorithm: Algorithm,
        keys: impl Iterator<Item = &'a DecodingKey>,
    ) -> Result<Map<String, Value>, AuthError> {
        let mut validation = self.validation.clone();
        validation.algorithms = vec![algorithm];
        let mut refusal = AuthError::invalid("the token is not signed by a known key");
        for key in keys {
            match jsonwebtoken::decode::<Members>(token, key, &validation) {
                Ok(data) => return Ok(data.claims.0),
                Err(error) => match error.kind() {
                    jsonwebtoken::errors::ErrorKind::InvalidSignature => refusal = error.into(),
                    _ => return Err(error.into()),
                },
            }
        }
        Err(refusal)
    }
}

/// Refuses a token whose header says something twice. Its claims are read in a way that refuses that, too.
fn names_no_member_twice(token: &str) -> Result<(), AuthError> {
    let header = token.split('.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).ok();
    let members = header.and_then(|json| serde_json::from_slice::<Members>(&json).ok());
    members.map(drop).ok_or(AuthError::invalid("the token is malformed"))
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").field("secrets", &self.secrets.len()).finish_non_exhaustive()
    }
}

/// A key set that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("key set {place}: {problem}")]
pub struct KeySetError {
    place: String,
    problem: String,
}

/// What every token must show. `exp` is required, and listed as such: a claim of the wrong form then counts as
/// missing (CVE-2026-25537). `aud` and `iss` are required where values are configured, and else not looked at.
fn validation(config: &AuthConfig) -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    let mut required = vec!["exp"];
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.validate_aud = !config.audience.is_empty();
    if !config.audience.is_empty() {
        validation.set_audience(&config.audience);
        required.push("aud");
    }
    if !config.issuer.is_empty() {
        validation.set_issuer(&config.issuer);
        required.push("iss");
    }
    validation.set_required_spec_claims(&required);
    validation
}

/// Looks at the key set's file, where one is configured, as a start would. Keeps nothing.
///
/// # Errors
/// What is wrong with the file.
pub fn check_key_set(config: &AuthConfig) -> Result<(), KeySetError> {
    let Some(path) = &config.jwks_file else { return Ok(()) };
    let read = std::fs::read(path).map_err(|error| error.to_string());
    let wrong = |problem| KeySetError { place: path.display().to_string(), problem };
    read.and_then(|text| key_set::KeySet::parse(&text)).map(drop).map_err(wrong)
}

async fn public_keys(config: &AuthConfig) -> Result<Option<Arc<KeySource>>, KeySetError> {
    let source = match (&config.jwks_file, &config.jwks_url) {
        (Some(path), _) => {
            let source = KeySource::file(path.clone());
            let wrong = |problem| KeySetError { place: path.display().to_string(), problem };
            source.refresh().await.map_err(wrong)?;
            Arc::new(source)
        }
        (None, Some(url)) => {
            let wrong = |problem| KeySetError { place: url.0.clone(), problem };
            Arc::new(KeySource::url(url.0.clone()).map_err(wrong)?)
        }
        (None, None) => return Ok(None),
    };
    tokio::spawn(keep_fresh(Arc::downgrade(&source), config.jwks_refresh));
    Ok(Some(source))
}

/// Reads the set again and again, for as long as somebody uses it: sooner where it could not be read.
async fn keep_fresh(source: Weak<KeySource>, every: Duration) {
    while let Some(current) = source.upgrade() {
        let pause = match current.refresh().await {
            Ok(()) => every,
            Err(problem) => {
                tracing::warn!(source = %current, problem, "key set not refreshed");
                every.min(RETRY_AFTER)
            }
        };
        drop(current);
        tokio::time::sleep(pause).await;
    }
}
