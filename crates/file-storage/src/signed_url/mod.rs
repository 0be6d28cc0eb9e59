//! Signed URLs (SPEC 3.4): tokens that open one object, for one purpose, until a moment in time.
//!
//! A token is a compact JWT (HS256) over bucket and path, purpose and expiry. Its keys serve no other purpose, so
//! that it is no bearer token and no bearer token is one. [`SignedDownload`] and [`SignedUpload`] are made by
//! verification alone; they are what exempts one object from row-level security.

mod keys;
mod token;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::path::ObjectPath;

pub use keys::{SigningKey, SigningKeys};

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

/// What an upload token says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UploadClaims {
    owner: Option<Uuid>,
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

/// A verified token for the download of one object.
#[derive(Debug, Clone)]
pub struct SignedDownload {
    target: Target,
}

/// A verified token for the upload of one object.
#[derive(Debug, Clone)]
pub struct SignedUpload {
    target: Target,
    owner: Option<Uuid>,
    upsert: bool,
}

#[derive(Debug, Clone)]
struct Target {
    bucket: BucketName,
    path: ObjectPath,
    expires_at: Timestamp,
    nonce: Option<Uuid>,
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

/// Makes a token that uploads one object, which will belong to `owner`; with `upsert` also over one that is there.
pub fn sign_upload(
    keys: &SigningKeys,
    bucket: &BucketName,
    path: &ObjectPath,
    owner: Option<Uuid>,
    upsert: bool,
    expires_at: Timestamp,
    single_use: bool,
) -> String {
    let claims = UploadClaims {
        owner,
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
    let target = Target::check(&claims.url, bucket, path, claims.exp, claims.jti, now)?;
    Ok(SignedDownload { target })
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
    let target = Target::check(&claims.url, bucket, path, claims.exp, claims.jti, now)?;
    Ok(SignedUpload { target, owner: claims.owner, upsert: claims.upsert })
}

impl Target {
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
            return Err(StorageError::UrlExpired);
        }
        Ok(Self { bucket: bucket.clone(), path: path.clone(), expires_at, nonce })
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
    /// The bucket of the object.
    pub fn bucket(&self) -> &BucketName {
        &self.target.bucket
    }

    /// The path of the object.
    pub fn path(&self) -> &ObjectPath {
        &self.target.path
    }

    /// When the token stops working.
    pub fn expires_at(&self) -> Timestamp {
        self.target.expires_at
    }

    /// The nonce of a single-use token, to be used up.
    pub fn nonce(&self) -> Option<Uuid> {
        self.target.nonce
    }
}

impl SignedUpload {
    /// The bucket of the object.
    pub fn bucket(&self) -> &BucketName {
        &self.target.bucket
    }

    /// The path of the object.
    pub fn path(&self) -> &ObjectPath {
        &self.target.path
    }

    /// When the token stops working.
    pub fn expires_at(&self) -> Timestamp {
        self.target.expires_at
    }

    /// The nonce of a single-use token, to be used up.
    pub fn nonce(&self) -> Option<Uuid> {
        self.target.nonce
    }

    /// Whom the object will belong to.
    pub fn owner(&self) -> Option<Uuid> {
        self.owner
    }

    /// Whether an object that is there is replaced.
    pub fn upsert(&self) -> bool {
        self.upsert
    }
}

#[cfg(test)]
mod tests;
