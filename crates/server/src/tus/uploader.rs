//! In whose name a request runs: that of its token, or that of who signed the upload token in `x-signature`.

use file_storage::signed_url::SignedUpload;
use file_storage::storage::Uploader;
use file_storage::{BucketName, ObjectPath};

use crate::errors::ApiError;
use crate::rest::call::{Call, Caller, Signed, Token};

/// A caller of one of the two sets of routes.
pub(super) trait Bearer: Caller + Sized {
    /// What stands between [`super::ROOT`] and the id of an upload.
    const SEGMENT: &str;

    /// What the request shows for this object.
    fn shows(call: &Call<Self>, bucket: &BucketName, path: &ObjectPath) -> Result<Shown, ApiError>;
}

/// What a request shows.
pub(super) enum Shown {
    /// A token of a caller, which was looked at.
    Token,
    /// A signed token, for the object it is used for.
    Signed(Box<SignedUpload>),
}

impl Shown {
    /// Who uploads.
    pub(super) fn uploader<'a, C: Bearer>(&'a self, call: &'a Call<C>) -> Uploader<'a> {
        match self {
            Self::Token => Uploader::Caller(call.context()),
            Self::Signed(token) => Uploader::Signed { token, bearer: call.context() },
        }
    }
}

impl Bearer for Token {
    const SEGMENT: &str = "/";

    fn shows(_: &Call<Self>, _: &BucketName, _: &ObjectPath) -> Result<Shown, ApiError> {
        Ok(Shown::Token)
    }
}

impl Bearer for Signed {
    const SEGMENT: &str = "/sign/";

    fn shows(call: &Call<Self>, bucket: &BucketName, path: &ObjectPath) -> Result<Shown, ApiError> {
        let token = call.headers().get("x-signature").and_then(|token| token.to_str().ok());
        let token = token.ok_or_else(|| ApiError::schema("Missing x-signature header"))?;
        Ok(Shown::Signed(Box::new(call.storage().verify_upload(token, bucket, path)?)))
    }
}
