//! Signed URLs (SPEC 3.4): tokens that open one object, for one purpose, until a moment.
//!
//! ```text
//! let token = sign_download(&keys, &NewDownload { bucket, path, expires_at, single_use, now })?;
//! let signed = verify_download(&keys, token, &bucket, &path, expires_parameter, now)?;   // then, and only then:
//! signed.access(request_id)          // an `Access` to that object
//! signed.nonce()                     // to be consumed first, where it is there
//! ```
//!
//! A token is a compact JWT, HS256, with its key's name in the header. It carries purpose, bucket, path and
//! expiry, and never a role; its key signs nothing else. Pure: no clock, no database, no HTTP.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::file::PutMode;
use crate::path::ObjectPath;
use crate::permissions::{Access, Operation};

/// Longer tokens are not looked at: a path of 1024 bytes, escaped and encoded, stays far below.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The keys that sign and verify URLs: the current one signs, the previous ones still verify.
/// The computing library wipes them from memory when they go.
#[derive(Clone)]
pub struct SigningKeys {
    current: SigningKey,
    previous: Vec<SigningKey>,
}

#[derive(Clone)]
struct SigningKey {
    key: hmac::Key,
    /// The first part of its tokens, which names algorithm and key.
    header: String,
}

impl SigningKeys {
    /// Keys from secrets of their own, which sign nothing else.
    pub fn new<'a>(current: &[u8], previous: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self {
            current: SigningKey::new(current),
            previous: previous.into_iter().map(SigningKey::new).collect(),
        }
    }

    /// The key whose token begins with that header. A header that we would not write, for its algorithm or for
    /// anything else, belongs to none.
    fn of_header(&self, header: &str) -> Option<&SigningKey> {
        std::iter::once(&self.current).chain(&self.previous).find(|key| key.header == header)
    }
}

impl SigningKey {
    fn new(secret: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let digest = hmac::sign(&key, b"aerostore: name of a URL signing key");
        let name = hex::encode(digest.as_ref().get(..8).unwrap_or_default());
        let header = format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{name}"}}"#);
        Self { key, header: URL_SAFE_NO_PAD.encode(header) }
    }

    fn sign(&self, claims: &Claims<'_>) -> Result<String, StorageError> {
        let json = serde_json::to_vec(claims).map_err(|error| StorageError::internal(error.to_string()))?;
        let mut token = String::with_capacity(self.header.len() + json.len() * 4 / 3 + 48);
        token.push_str(&self.header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(&json, &mut token);
        let signature = hmac::sign(&self.key, token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        Ok(token)
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys").field("previous", &self.previous.len()).finish_non_exhaustive()
    }
}

/// A download URL to be made. Its maker has been checked for [`Operation::SignDownload`].
#[derive(Debug, Clone, Copy)]
pub struct NewDownload<'a> {
    /// The bucket.
    pub bucket: &'a BucketName,
    /// The object's path.
    pub path: &'a ObjectPath,
    /// When it stops being served; whole seconds count.
    pub expires_at: Timestamp,
    /// Whether it is served once.
    pub single_use: bool,
    /// When it is made.
    pub now: Timestamp,
}

/// An upload URL to be made. Its maker has been checked for [`Operation::SignUpload`].
#[derive(Debug, Clone, Copy)]
pub struct NewUpload<'a> {
    /// The bucket.
    pub bucket: &'a BucketName,
    /// The path that is written.
    pub path: &'a ObjectPath,
    /// Whom a new object will belong to: the URL's maker.
    pub owner: Option<Uuid>,
    /// Whether an object that is there may be replaced.
    pub upsert: bool,
    /// When it stops being taken; whole seconds count.
    pub expires_at: Timestamp,
    /// Whether it is taken once, also where it could replace.
    pub single_use: bool,
    /// When it is made.
    pub now: Timestamp,
}

/// What a token says. Unknown claims are refused: one that a later version adds narrows what the token opens.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims<'a> {
    #[serde(borrow)]
    url: Cow<'a, str>,
    scope: Scope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upsert: Option<bool>,
    iat: i64,
    exp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jti: Option<Uuid>,
}

/// What a token is for. It stands for the method: GET and HEAD, or POST and PUT.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    Download,
    Upload,
}

/// Makes the token of a download URL.
///
/// # Errors
/// None that a caller could cause.
pub fn sign_download(keys: &SigningKeys, new: &NewDownload<'_>) -> Result<String, StorageError> {
    keys.current.sign(&Claims {
        url: Cow::Owned(format!("{}/{}", new.bucket, new.path)),
        scope: Scope::Download,
        owner: None,
        upsert: None,
        iat: new.now.timestamp(),
        exp: new.expires_at.timestamp(),
        jti: new.single_use.then(Uuid::new_v4),
    })
}

/// Makes the token of an upload URL.
///
/// # Errors
/// None that a caller could cause.
pub fn sign_upload(keys: &SigningKeys, new: &NewUpload<'_>) -> Result<String, StorageError> {
    keys.current.sign(&Claims {
        url: Cow::Owned(format!("{}/{}", new.bucket, new.path)),
        scope: Scope::Upload,
        owner: new.owner,
        upsert: Some(new.upsert),
        iat: new.now.timestamp(),
        exp: new.expires_at.timestamp(),
        jti: new.single_use.then(Uuid::new_v4),
    })
}

/// The nonce of a single-use token: served once per nonce, which the database remembers until the token expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce {
    /// Its identity.
    pub id: Uuid,
    /// When it need not be remembered any more.
    pub expires_at: Timestamp,
}

/// A download that a verified token allows. Only [`verify_download`] makes one.
#[derive(Debug, Clone)]
pub struct SignedDownload {
    bucket: BucketName,
    path: ObjectPath,
    expires_at: Timestamp,
    nonce: Option<Nonce>,
}

impl SignedDownload {
    /// The bucket that it opens.
    pub fn bucket(&self) -> &BucketName {
        &self.bucket
    }

    /// The object that it opens.
    pub fn path(&self) -> &ObjectPath {
        &self.path
    }

    /// Until when.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// What must be consumed before the first byte is served, where the token is for a single use.
    pub fn nonce(&self) -> Option<Nonce> {
        self.nonce
    }

    /// Access to that object, for reading.
    pub fn access(&self, request_id: &str) -> Access {
        Access::signed(Operation::Download, None, request_id, self.bucket.clone(), self.path.clone())
    }
}

/// An upload that a verified token allows. Only [`verify_upload`] makes one.
#[derive(Debug, Clone)]
pub struct SignedUpload {
    bucket: BucketName,
    path: ObjectPath,
    owner: Option<Uuid>,
    mode: PutMode,
    expires_at: Timestamp,
    nonce: Option<Nonce>,
}

impl SignedUpload {
    /// The bucket that it writes to.
    pub fn bucket(&self) -> &BucketName {
        &self.bucket
    }

    /// The path that it writes.
    pub fn path(&self) -> &ObjectPath {
        &self.path
    }

    /// Whom a new object will belong to.
    pub fn owner(&self) -> Option<Uuid> {
        self.owner
    }

    /// What it does where the path is taken, as the token says and no header can change.
    pub fn mode(&self) -> &PutMode {
        &self.mode
    }

    /// Until when.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// What must be consumed before the first byte is taken, where the token is for a single use.
    pub fn nonce(&self) -> Option<Nonce> {
        self.nonce
    }

    /// Access to that path, for writing.
    pub fn access(&self, request_id: &str) -> Access {
        let operation = Operation::Upload(&self.mode);
        Access::signed(operation, self.owner, request_id, self.bucket.clone(), self.path.clone())
    }
}

/// Checks the token of a download URL against the request that shows it. `expires` is the query parameter of that
/// name, where there is one.
///
/// # Errors
/// [`StorageError::UrlExpired`] where everything fits but the time; else [`StorageError::InvalidSignature`].
pub fn verify_download(
    keys: &SigningKeys,
    token: &str,
    bucket: &BucketName,
    path: &ObjectPath,
    expires: Option<i64>,
    now: Timestamp,
) -> Result<SignedDownload, StorageError> {
    let verified = verify(keys, token, Scope::Download, (bucket, path), expires, now)?;
    let Verified { expires_at, nonce, .. } = verified;
    Ok(SignedDownload { bucket: bucket.clone(), path: path.clone(), expires_at, nonce })
}

/// Checks the token of an upload URL against the request that shows it.
///
/// # Errors
/// As [`verify_download`].
pub fn verify_upload(
    keys: &SigningKeys,
    token: &str,
    bucket: &BucketName,
    path: &ObjectPath,
    expires: Option<i64>,
    now: Timestamp,
) -> Result<SignedUpload, StorageError> {
    let verified = verify(keys, token, Scope::Upload, (bucket, path), expires, now)?;
    let Verified { owner, upsert, expires_at, nonce } = verified;
    let mode = if upsert { PutMode::Upsert } else { PutMode::Create };
    Ok(SignedUpload { bucket: bucket.clone(), path: path.clone(), owner, mode, expires_at, nonce })
}

struct Verified {
    owner: Option<Uuid>,
    upsert: bool,
    expires_at: Timestamp,
    nonce: Option<Nonce>,
}

/// The signature first, then what it covers, the time last: an unsigned token is never told that it expired.
fn verify(
    keys: &SigningKeys,
    token: &str,
    scope: Scope,
    (bucket, path): (&BucketName, &ObjectPath),
    expires: Option<i64>,
    now: Timestamp,
) -> Result<Verified, StorageError> {
    let json = signed_json(keys, token)?;
    let claims: Claims<'_> =
        serde_json::from_slice(&json).map_err(|_| refused("the token's claims are unknown"))?;
    if claims.scope != scope {
        return Err(refused("the token was made for another purpose"));
    }
    let same = claims.url.strip_prefix(bucket.as_str()).and_then(|rest| rest.strip_prefix('/'));
    if same != Some(path.as_str()) {
        return Err(refused("the token was made for another bucket or path"));
    }
    if expires.is_some_and(|expires| expires != claims.exp) {
        return Err(refused("the expiry differs from the token's"));
    }
    let expires_at =
        DateTime::from_timestamp(claims.exp, 0).ok_or(refused("the token's claims are unknown"))?;
    if now >= expires_at {
        return Err(StorageError::UrlExpired);
    }
    let nonce = claims.jti.map(|id| Nonce { id, expires_at });
    Ok(Verified { owner: claims.owner, upsert: claims.upsert.unwrap_or(false), expires_at, nonce })
}

/// The JSON of a token whose signature is good.
fn signed_json(keys: &SigningKeys, token: &str) -> Result<Vec<u8>, StorageError> {
    const MALFORMED: &str = "the token is malformed";
    if token.len() > MAX_TOKEN_BYTES {
        return Err(refused(MALFORMED));
    }
    let (message, signature) = token.rsplit_once('.').ok_or(refused(MALFORMED))?;
    let (header, claims) = message.split_once('.').ok_or(refused(MALFORMED))?;
    let key = keys.of_header(header).ok_or(refused("the token is not signed by a key of this server"))?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| refused(MALFORMED))?;
    // In constant time.
    hmac::verify(&key.key, message.as_bytes(), &signature)
        .map_err(|_| refused("the token's signature does not fit"))?;
    URL_SAFE_NO_PAD.decode(claims).map_err(|_| refused(MALFORMED))
}

fn refused(reason: &'static str) -> StorageError {
    StorageError::InvalidSignature { reason }
}

#[cfg(test)]
mod tests;
