//! What a request shows of who signed it, in its header or in its query, and the verification of that.

use chrono::{DateTime, Utc};
use file_storage::credentials::CredentialSecret;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};

use super::canonical::{self, Origin};
use super::key::{Key, KnownKeys, Scope};
use super::time::{self, Clock, MAX_EXPIRY_SECONDS};
use super::{ALGORITHM, chunked};
use crate::s3::failure::Failure;
use crate::s3::payload::Payload;
use crate::s3::target::Parameters;

const CONTENT_SHA256: &str = "x-amz-content-sha256";

/// What a request shows.
#[derive(Debug, Clone)]
pub(in crate::s3) struct Claim {
    /// Whose key signed, and for what.
    pub(in crate::s3) scope: Scope,
    /// The user's token that comes along.
    pub(in crate::s3) session_token: Option<String>,
    signed_headers: Vec<String>,
    signature: String,
    /// When it was signed, as it is written.
    time: String,
    /// How long a signed URL is valid, in seconds; `None` where the header is signed.
    expires: Option<u32>,
    /// What stands for the payload in what is signed.
    payload: String,
}

/// What a request shows; `None` where it shows nothing, and so comes from anybody.
///
/// # Errors
/// What is malformed, or of another kind.
pub(in crate::s3) fn shown(
    parts: &Parts,
    query: &Parameters,
    clock: Clock,
) -> Result<Option<Claim>, Failure> {
    let in_query =
        query.iter().any(|(name, _)| matches!(name.as_str(), "X-Amz-Signature" | "X-Amz-Algorithm"));
    let old = query.iter().any(|(name, _)| name == "AWSAccessKeyId" || name == "Signature");
    match (one(&parts.headers, header::AUTHORIZATION.as_str())?, in_query) {
        (Some(_), true) => Err(Failure::argument("Only one way to show a signature is allowed")),
        (None, true) => of_query(query, parts, clock).map(Some),
        (Some(value), false) => of_header(value, parts, clock).map(Some),
        (None, false) if old => Err(only_this_one()),
        (None, false) => Ok(None),
    }
}

fn only_this_one() -> Failure {
    Failure::invalid("The authorization mechanism is not supported: please use AWS4-HMAC-SHA256")
}

fn of_header(value: &str, parts: &Parts, clock: Clock) -> Result<Claim, Failure> {
    let malformed = |message: &'static str| Failure::bad_request("AuthorizationHeaderMalformed", message);
    let Some(rest) = value.strip_prefix(ALGORITHM) else { return Err(only_this_one()) };
    let (mut credential, mut names, mut signature) = (None, None, None);
    for part in rest.split(',') {
        match part.trim().split_once('=') {
            Some(("Credential", value)) => credential = Some(value),
            Some(("SignedHeaders", value)) => names = Some(value),
            Some(("Signature", value)) => signature = Some(value),
            _ => return Err(malformed("The Authorization header has a part that is not known")),
        }
    }
    let (Some(credential), Some(names), Some(signature)) = (credential, names, signature) else {
        return Err(malformed("The Authorization header needs Credential, SignedHeaders and Signature"));
    };
    let scope = Scope::parse(credential)?;
    let date = match one(&parts.headers, "x-amz-date")? {
        Some(text) => time::parse(text),
        None => one(&parts.headers, "date")?.and_then(time::parse_date),
    };
    let date = date.ok_or_else(|| Failure::denied("A signed request needs a valid x-amz-date or Date"))?;
    clock.check(date)?;
    let payload = one(&parts.headers, CONTENT_SHA256)?
        .ok_or_else(|| Failure::invalid("A signed request needs the header x-amz-content-sha256"))?;
    claim(scope, names, signature, date, None, payload, one(&parts.headers, "x-amz-security-token")?)
}

fn of_query(query: &Parameters, parts: &Parts, clock: Clock) -> Result<Claim, Failure> {
    let malformed = |message: String| Failure::bad_request("AuthorizationQueryParametersError", message);
    let find = |name: &str| -> Result<Option<&str>, Failure> {
        let mut found = query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(malformed(format!("{name} is given twice"))),
            (value, None) => Ok(value),
        }
    };
    let need = |name: &str| find(name)?.ok_or_else(|| malformed(format!("{name} is missing")));
    if need("X-Amz-Algorithm")? != ALGORITHM {
        return Err(malformed(format!("X-Amz-Algorithm is {ALGORITHM}")));
    }
    let scope = Scope::parse(need("X-Amz-Credential")?)?;
    let (names, signature) = (need("X-Amz-SignedHeaders")?, need("X-Amz-Signature")?);
    let date = time::parse(need("X-Amz-Date")?).ok_or_else(|| malformed("X-Amz-Date is malformed".into()))?;
    let expires =
        need("X-Amz-Expires")?.parse().ok().filter(|seconds| (1..=MAX_EXPIRY_SECONDS).contains(seconds));
    let expires = expires.ok_or_else(|| {
        let message = format!("X-Amz-Expires is between 1 and {MAX_EXPIRY_SECONDS} seconds");
        Failure::new(StatusCode::FORBIDDEN, "AuthorizationQueryParametersError", message)
    })?;
    clock.check_expiry(date, expires)?;
    let payload = match one(&parts.headers, CONTENT_SHA256)? {
        Some(payload) => payload,
        None => find("X-Amz-Content-Sha256")?.unwrap_or("UNSIGNED-PAYLOAD"),
    };
    claim(scope, names, signature, date, Some(expires), payload, find("X-Amz-Security-Token")?)
}

fn claim(
    scope: Scope,
    names: &str,
    signature: &str,
    date: DateTime<Utc>,
    expires: Option<u32>,
    payload: &str,
    token: Option<&str>,
) -> Result<Claim, Failure> {
    let time = time::written(date);
    if !time.starts_with(&scope.date) {
        let message = "The credential is for another date than the request";
        return Err(Failure::bad_request("AuthorizationHeaderMalformed", message));
    }
    let signed_headers: Vec<_> = names.split(';').map(str::to_ascii_lowercase).collect();
    Ok(Claim {
        scope,
        session_token: token.map(str::to_owned),
        signed_headers,
        signature: signature.to_owned(),
        time,
        expires,
        payload: payload.to_owned(),
    })
}

impl Claim {
    /// Whether a URL was signed, and no header.
    pub(in crate::s3) fn is_in_query(&self) -> bool {
        self.expires.is_some()
    }

    /// Verifies the signature, for one of the ways in which the client may have called the server; gives that one, which says
    /// what the signer meant.
    ///
    /// # Errors
    /// `SignatureDoesNotMatch` with what the server signed, so that the client can compare; or what is not signed.
    pub(in crate::s3) fn verify<'o>(
        &self,
        (keys, secret): (&KnownKeys, &CredentialSecret),
        parts: &Parts,
        query: &Parameters,
        origins: &'o [Origin],
    ) -> Result<(Key, &'o Origin), Failure> {
        self.check_coverage(&parts.headers)?;
        let (made, key) = keys.find(secret, &self.scope);
        let place = self.scope.place();
        let mut first = None;
        for origin in origins {
            for as_sent in [false, true] {
                let request =
                    canonical::request(parts, query, origin, &self.signed_headers, &self.payload, as_sent);
                let text = canonical::string_to_sign(&self.time, &place, &request);
                if key.verifies(&text, &self.signature) {
                    keys.keep(made, &key);
                    return Ok((key, origin));
                }
                first.get_or_insert((text, request));
            }
        }
        let (text, request) = first.unwrap_or_default();
        let message = "The signature does not fit the request. Compare what you signed with CanonicalRequest: \
             where host or path differ, a proxy changed them (see server.public_url and server.trusted_proxies)";
        Err(Failure::new(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", message)
            .detail("AWSAccessKeyId", &self.scope.access_key_id)
            .detail("SignatureProvided", &self.signature)
            .detail("StringToSign", text)
            .detail("CanonicalRequest", request))
    }

    /// Refuses what is not signed and would count: whoever has a signed URL must not be able to make it say more.
    fn check_coverage(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let is_signed = |name: &str| self.signed_headers.iter().any(|signed| signed == name);
        if !is_signed("host") {
            return Err(Failure::denied("The host header must be signed"));
        }
        for name in headers.keys().map(header::HeaderName::as_str) {
            if name.starts_with("x-amz-") && name != CONTENT_SHA256 && !is_signed(name) {
                let message =
                    format!("There were headers present in the request which were not signed: {name}");
                return Err(Failure::denied(message).detail("HeadersNotSigned", name));
            }
        }
        Ok(())
    }

    /// What the body must be.
    ///
    /// # Errors
    /// A form of payload that is not known.
    pub(in crate::s3) fn payload(&self, key: Key) -> Result<Payload, Failure> {
        let signing = || chunked::Signing::new(key, &self.time, &self.scope.place(), &self.signature);
        Payload::parse(&self.payload, signing)
    }
}

/// The one value of a header.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Failure> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Failure::invalid(format!("The header {name} is sent twice")));
    }
    let malformed = |_| Failure::invalid(format!("The header {name} is malformed"));
    value.to_str().map(|value| Some(value.trim())).map_err(malformed)
}
