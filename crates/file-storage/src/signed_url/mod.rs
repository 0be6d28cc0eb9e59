//! Signed URLs (SPEC 3.4): tokens that open one object, for one purpose, until a moment in time.
//!
//! A token is a compact JWT (HS256) over bucket and path, purpose and expiry. Its keys serve no other purpose, so
//! that it is no bearer token and no bearer token is one. [`SignedDownload`] and [`SignedUpload`] are made by
//! verification alone. The former exempts its one object from row-level security; the latter writes its one object
//! in the name of whoever signed it, under their row-level security.

mod keys;
mod signer;
mod token;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::{StorageError, UrlEnd};
use crate::path::ObjectPath;

pub use keys::{SigningKey, SigningKeys};
pub use signer::Signer;

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

/// What an upload token says. Without a role it is a user's.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UploadClaims {
    owner: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<SignerRole>,
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
pub fn sign_upload(
    keys: &SigningKeys,
    bucket: &BucketName,
    path: &ObjectPath,
    signer: Signer,
    upsert: bool,
    expires_at: Timestamp,
    single_use: bool,
) -> String {
    let claims = UploadClaims {
        owner: signer.user_id(),
        role: match signer {
            Signer::User(_) => None,
            Signer::Anon => Some(SignerRole::Anon),
            Signer::Service(_) => Some(SignerRole::ServiceRole),
        },
        url: url_of(bucket, path),
        upsert,
        scope: UPLOAD.to_owned(),
        iat: chrono::Utc::now().timestamp(),
        exp: expires_at.timestamp(),
        jti: single_use.then(Uuid::new_v4),
    };
    token::sign(keys, &claims)
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
    let claims: DownloadClaims = token::verify(keys, token)?;
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
    let claims: UploadClaims = token::verify(keys, token)?;
    if claims.scope != UPLOAD {
        return Err(invalid("the token is not scoped for upload"));
    }
    let signer = match (claims.role, claims.owner) {
        (Some(SignerRole::ServiceRole), owner) => Signer::Service(owner),
        (Some(SignerRole::Anon), None) => Signer::Anon,
        (None, Some(owner)) => Signer::User(owner),
        (Some(SignerRole::Anon), Some(_)) | (None, None) => {
            return Err(invalid("the token does not say who signed it"));
        }
    };
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
    pub fn signer(&self) -> Signer {
        self.signer
    }

    /// Whether an object that is there is replaced.
    pub fn upsert(&self) -> bool {
        self.upsert
    }
}

#[cfg(test)]
mod tests;
