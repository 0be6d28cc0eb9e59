//! Signed URLs (SPEC 3.4): tokens that open one object, for one purpose, until a moment in time.
//!
//! A token is a compact JWT (HS256) over bucket and path, purpose and expiry. Its keys serve no other purpose, so
//! that it is no bearer token and no bearer token is one. [`SignedDownload`] and [`SignedUpload`] are made by
//! verification alone. The former exempts its one object from row-level security; the latter writes its one object
//! in the name of whoever signed it, under their row-level security and with their claims, which it carries sealed.

mod keys;
mod seal;
mod signer;
mod token;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::{StorageError, UrlEnd};
use crate::path::ObjectPath;

pub use keys::{SigningKey, SigningKeys};
pub use signer::{Identity, Signer};

/// What a download token says. The names are those of Supabase's tokens. A claim that this version does not know
/// is refused, as it narrows what the token opens.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DownloadClaims {
    url: String,
    scope: String,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<Uuid>,
}

/// What an upload token says. Without a role it is a user's. The signer's other claims are sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UploadClaims {
    owner: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<SignerRole>,
    claims: Option<String>,
    url: String,
    upsert: bool,
    scope: String,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<Uuid>,
}

const DOWNLOAD: &str = "download";
const UPLOAD: &str = "upload";

/// How long path and token of an upload URL may be together, in bytes. Proxies take request lines of 8 KiB (nginx,
/// Apache), and host, base path and other parameters are in them, too.
const MAX_URL_BYTES: usize = 7 * 1024;

/// The roles that a token names.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SignerRole {
    Anon,
    ServiceRole,
}

/// The one object that a verified token opens.
#[derive(Debug, Clone)]
pub struct SignedObject {
    bucket: BucketName,
    path: ObjectPath,
    expires_at: Timestamp,
    nonce: Option<Uuid>,
}

/// A verified token for the download of one object.
#[derive(Debug, Clone)]
pub struct SignedDownload {
    object: SignedObject,
}

/// A verified token for the upload of one object.
#[derive(Debug, Clone)]
pub struct SignedUpload {
    object: SignedObject,
    signer: Signer,
    upsert: bool,
}

/// Makes a token that downloads one object until `expires_at` (whole seconds); with `single_use`, only once.
pub fn sign_download(
    keys: &SigningKeys,
    bucket: &BucketName,
    path: &ObjectPath,
    expires_at: Timestamp,
    single_use: bool,
) -> String {
    let claims = DownloadClaims {
        url: url_of(bucket, path),
        scope: DOWNLOAD.to_owned(),
        iat: chrono::Utc::now().timestamp(),
        exp: expires_at.timestamp(),
        jti: single_use.then(Uuid::new_v4),
    };
    token::sign(keys, &claims)
}

/// Makes a token that uploads one object, in the name of `signer`; with `upsert` also over one that is there.
///
/// # Errors
/// [`StorageError::InvalidRequest`] where the signer's claims make the URL longer than every proxy takes.
pub fn sign_upload(
    keys: &SigningKeys,
    bucket: &BucketName,
    path: &ObjectPath,
    signer: &Signer,
    upsert: bool,
    expires_at: Timestamp,
    single_use: bool,
) -> Result<String, StorageError> {
    let identity = signer.identity();
    let claims = UploadClaims {
        owner: identity.user_id(),
        role: match identity {
            Identity::User(_) => None,
            Identity::Anon => Some(SignerRole::Anon),
            Identity::Service(_) => Some(SignerRole::ServiceRole),
        },
        claims: Some(keys.current().sealing().seal(signer.claims())?),
        url: url_of(bucket, path),
        upsert,
        scope: UPLOAD.to_owned(),
        iat: chrono::Utc::now().timestamp(),
        exp: expires_at.timestamp(),
        jti: single_use.then(Uuid::new_v4),
    };
    let token = token::sign(keys, &claims);
    let length = encoded_length(&claims.url).saturating_add(token.len());
    if length > MAX_URL_BYTES {
        return Err(StorageError::InvalidRequest {
            message: format!(
                "the URL would be {length} bytes long, of which at most {MAX_URL_BYTES} pass every proxy: it carries the \
                 claims of the token that signs it, and they are too many"
            ),
        });
    }
    Ok(token)
}

/// How long a text is in a URL's path, in bytes.
fn encoded_length(text: &str) -> usize {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { 1 } else { 3 }).sum()
}

/// Checks a download token against the object that is asked for, and the `expires` parameter if one was sent.
/// The signature comes first: nothing of an unsigned token is believed, not even that it has expired.
///
/// # Errors
/// [`StorageError::InvalidSignature`], [`StorageError::UrlExpired`].
pub fn verify_download(
    keys: &SigningKeys,
    token: &str,
    bucket: &BucketName,
    path: &ObjectPath,
    expires: Option<i64>,
    now: Timestamp,
) -> Result<SignedDownload, StorageError> {
    let (claims, _): (DownloadClaims, _) = token::verify(keys, token)?;
    if claims.scope != DOWNLOAD {
        return Err(invalid("the token is not scoped for download"));
    }
    if expires.is_some_and(|expires| expires != claims.exp) {
        return Err(invalid("the expires parameter is not the token's"));
    }
    let object = SignedObject::check(&claims.url, bucket, path, claims.exp, claims.jti, now)?;
    Ok(SignedDownload { object })
}

/// Checks an upload token against the object that is to be written.
///
/// # Errors
/// As [`verify_download`].
pub fn verify_upload(
    keys: &SigningKeys,
    token: &str,
    bucket: &BucketName,
    path: &ObjectPath,
    now: Timestamp,
) -> Result<SignedUpload, StorageError> {
    let (claims, key): (UploadClaims, _) = token::verify(keys, token)?;
    if claims.scope != UPLOAD {
        return Err(invalid("the token is not scoped for upload"));
    }
    let identity = match (claims.role, claims.owner) {
        (Some(SignerRole::ServiceRole), owner) => Identity::Service(owner),
        (Some(SignerRole::Anon), None) => Identity::Anon,
        (None, Some(owner)) => Identity::User(owner),
        (Some(SignerRole::Anon), Some(_)) | (None, None) => {
            return Err(invalid("the token does not say who signed it"));
        }
    };
    // IMPORTANT: a token without them is never used as if there were none: a policy may deny by a claim.
    let sealed = claims.claims.ok_or_else(|| invalid("the token was made by an earlier version"))?;
    let signer = Signer::new(identity, key.sealing().open(&sealed)?);
    let object = SignedObject::check(&claims.url, bucket, path, claims.exp, claims.jti, now)?;
    Ok(SignedUpload { object, signer, upsert: claims.upsert })
}

impl SignedObject {
    fn check(
        url: &str,
        bucket: &BucketName,
        path: &ObjectPath,
        exp: i64,
        nonce: Option<Uuid>,
        now: Timestamp,
    ) -> Result<Self, StorageError> {
        if url != url_of(bucket, path) {
            return Err(invalid("the token was made for another object"));
        }
        let expires_at =
            Timestamp::from_timestamp(exp, 0).ok_or_else(|| invalid("the expiry is out of range"))?;
        if expires_at <= now {
            return Err(StorageError::UrlExpired(UrlEnd::Expired));
        }
        Ok(Self { bucket: bucket.clone(), path: path.clone(), expires_at, nonce })
    }

    /// Its bucket.
    pub fn bucket(&self) -> &BucketName {
        &self.bucket
    }

    /// Its path.
    pub fn path(&self) -> &ObjectPath {
        &self.path
    }

    /// When the token stops working.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// The nonce of a single-use token, to be used up.
    pub fn nonce(&self) -> Option<Uuid> {
        self.nonce
    }
}

/// Bucket and path in one text. A bucket name has no slash, so that no two objects share one.
fn url_of(bucket: &BucketName, path: &ObjectPath) -> String {
    format!("{bucket}/{path}")
}

fn invalid(reason: &'static str) -> StorageError {
    StorageError::InvalidSignature { reason }
}

impl SignedDownload {
    /// The object that it opens.
    pub fn object(&self) -> &SignedObject {
        &self.object
    }
}

impl SignedUpload {
    /// The object that it writes.
    pub fn object(&self) -> &SignedObject {
        &self.object
    }

    /// In whose name.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Whether an object that is there is replaced.
    pub fn upsert(&self) -> bool {
        self.upsert
    }
}

#[cfg(test)]
mod tests;
