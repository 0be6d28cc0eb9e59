//! Making and using signed URLs (SPEC 3.4). How a token becomes a URL is the protocol's matter.

use std::time::Duration;

use chrono::Utc;

use super::FileStorage;
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::{StorageError, UrlEnd};
use crate::file::PutMode;
use crate::path::ObjectPath;
use crate::permissions::{Operation, RlsContext};
use crate::signed_url::{self, SignedDownload, SignedObject, SignedUpload, Signer};

/// What a caller chooses about a signed URL.
#[derive(Debug, Clone, Copy, Default)]
pub struct SignOptions {
    /// How long it is valid; `None` means the server's default.
    pub expires_in: Option<Duration>,
    /// Whether it works only once.
    pub single_use: bool,
}

/// A token that opens one object to whoever has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedToken {
    /// The token: a compact JWT.
    pub token: String,
    /// When it stops working.
    pub expires_at: Timestamp,
}

impl FileStorage {
    /// Makes a token that downloads one object. The caller must be allowed to read it.
    ///
    /// # Errors
    /// As [`FileStorage::download`]; [`StorageError::InvalidRequest`] for an expiry outside the server's bounds.
    pub async fn sign_download(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        path: &ObjectPath,
        options: SignOptions,
    ) -> Result<SignedToken, StorageError> {
        let expires_at =
            self.expiry(options.expires_in.unwrap_or(self.inner.options.load().default_url_expiry))?;
        let access = self.access(context, Operation::SignDownload, Some(bucket)).await?;
        self.executor().object(&access, bucket, path).await?;
        let keys = &self.inner.signing_keys.load();
        let token = signed_url::sign_download(keys, bucket, path, expires_at, options.single_use);
        Ok(SignedToken { token, expires_at })
    }

    /// Makes a token that uploads one object in the caller's name; with `upsert` also over one that is there. The
    /// caller must be allowed to, as far as they can see what is there; the rest is decided when the token is used,
    /// by the claims that the caller has now.
    ///
    /// # Errors
    /// As [`FileStorage::admit_upload`], of what the caller can see; [`StorageError::InvalidRequest`] for an expiry
    /// outside the server's bounds, and for more claims than a URL can carry.
    pub async fn sign_upload(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        path: &ObjectPath,
        upsert: bool,
        options: SignOptions,
    ) -> Result<SignedToken, StorageError> {
        let mode = if upsert { PutMode::Upsert } else { PutMode::Create };
        let expires_at =
            self.expiry(options.expires_in.unwrap_or(self.inner.options.load().upload_url_expiry))?;
        let access = self.access(context, Operation::SignUpload(&mode), Some(bucket)).await?;
        let signer = Signer::of(context)
            .ok_or_else(|| StorageError::internal("a user without an id was let in to sign"))?;
        self.executor().admit_signing(&access, bucket, path, &mode).await?;
        let keys = &self.inner.signing_keys.load();
        let token =
            signed_url::sign_upload(keys, bucket, path, &signer, upsert, expires_at, options.single_use)?;
        Ok(SignedToken { token, expires_at })
    }

    /// Checks a download token against the object that is asked for, and the `expires` parameter if one was sent.
    ///
    /// # Errors
    /// [`StorageError::UrlExpired`], [`StorageError::InvalidSignature`].
    pub fn verify_download(
        &self,
        token: &str,
        bucket: &BucketName,
        path: &ObjectPath,
        expires: Option<i64>,
    ) -> Result<SignedDownload, StorageError> {
        signed_url::verify_download(&self.inner.signing_keys.load(), token, bucket, path, expires, Utc::now())
            .inspect_err(|error| self.count_download(bucket, Err(error)))
    }

    /// Checks an upload token against the object that is to be written.
    ///
    /// # Errors
    /// [`StorageError::UrlExpired`], [`StorageError::InvalidSignature`].
    pub fn verify_upload(
        &self,
        token: &str,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<SignedUpload, StorageError> {
        signed_url::verify_upload(&self.inner.signing_keys.load(), token, bucket, path, Utc::now())
            .inspect_err(|error| self.count_upload(bucket, Err(error)))
    }

    fn expiry(&self, expires_in: Duration) -> Result<Timestamp, StorageError> {
        let max = self.inner.options.load().max_url_expiry;
        if expires_in < Duration::from_secs(1) || expires_in > max {
            let message = format!("expiry must be between 1 and {} seconds", max.as_secs());
            return Err(StorageError::InvalidRequest { message });
        }
        // Whole seconds, as the token and the `expires` parameter say them.
        let seconds = Utc::now().timestamp().saturating_add_unsigned(expires_in.as_secs());
        Timestamp::from_timestamp(seconds, 0).ok_or_else(|| StorageError::InvalidRequest {
            message: "expiry is further away than the calendar goes".to_owned(),
        })
    }

    /// Whether a token can still be used, as far as that can be told without using it.
    ///
    /// # Errors
    /// [`StorageError::UrlExpired`] for a single-use token that was used before.
    pub(super) async fn check_unused(&self, signed: &SignedObject) -> Result<(), StorageError> {
        match signed.nonce() {
            Some(nonce) if self.executor().is_nonce_used(nonce).await? => {
                Err(StorageError::UrlExpired(UrlEnd::Used))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Uses up a single-use token: of many who try at once, one succeeds.
    ///
    /// # Errors
    /// [`StorageError::UrlExpired`] for one that was used before.
    pub(super) async fn use_up(&self, signed: &SignedObject) -> Result<(), StorageError> {
        match signed.nonce() {
            None => Ok(()),
            Some(nonce) if self.executor().consume_nonce(nonce, signed.expires_at()).await? => Ok(()),
            Some(_) => Err(StorageError::UrlExpired(UrlEnd::Used)),
        }
    }
}
