//! `PUT` and `PATCH /bucket/{id}`.

use axum::response::Response;
use file_storage::{BucketUpdate, Operation};
use serde::Deserialize;
use utoipa::ToSchema;

use super::fields;
use crate::conditional;
use crate::errors::ApiError;
use crate::rest::call::{Call, Token};
use crate::rest::dialect::{BucketBody, ErrorBody};
use crate::rest::json::{self, Bytes64};

/// What shall change. What is absent stays, null clears.
#[derive(Deserialize, ToSchema)]
pub(in crate::rest) struct UpdateBucket {
    /// `public`, `authenticated` or `private`.
    policy: Option<String>,
    /// The same in other words: `true` for public, `false` for private.
    public: Option<bool>,
    /// Most bytes of one object.
    #[serde(default, deserialize_with = "json::nullable")]
    #[schema(value_type = Option<String>)]
    file_size_limit: Option<Option<Bytes64>>,
    /// The same.
    #[serde(default, deserialize_with = "json::nullable")]
    #[schema(value_type = Option<String>)]
    max_file_size: Option<Option<Bytes64>>,
    /// Content types that it takes.
    #[serde(default, deserialize_with = "json::nullable")]
    #[schema(value_type = Option<Vec<String>>)]
    allowed_mime_types: Option<Option<Vec<String>>>,
    /// Most bytes of all its objects. A quota that is there, only the service role raises or takes off.
    #[serde(default, deserialize_with = "json::nullable")]
    #[schema(value_type = Option<String>)]
    quota_bytes: Option<Option<Bytes64>>,
    /// Whether it keeps versions: `enabled` or `suspended`.
    versioning: Option<String>,
}

/// Changes a bucket's policy or limits. Objects that are there already stay.
#[utoipa::path(
    method(put, patch), path = "/bucket/{id}", tag = "Buckets", operation_id = "updateBucket",
    params(("id" = String, Path, description = "The bucket")),
    request_body = UpdateBucket,
    responses(
        (status = 200, description = "The bucket as it now is", body = BucketBody<'static>),
        (status = 400, description = "Nothing to change, or a bad field", body = ErrorBody),
        (status = 401, description = "No token, or a bad one", body = ErrorBody),
        (status = 403, description = "Only its owner changes a bucket, and only the service role lifts its quota", body = ErrorBody),
        (status = 404, description = "No such bucket", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn update(mut call: Call<Token>) -> Result<Response, ApiError> {
    call.begin(Operation::UpdateBucket);
    conditional::none(call.headers())?;
    let name = call.bucket("/bucket/")?;
    let asked: UpdateBucket = json::read(call.body()).await?;
    let update = asked.update()?;
    let bucket = call.storage().update_bucket(call.context(), &name, &update).await?;
    Ok(call.dialect().bucket_updated(&bucket))
}

impl UpdateBucket {
    fn update(self) -> Result<BucketUpdate, ApiError> {
        let update = BucketUpdate {
            policy: fields::policy(self.policy.as_deref(), self.public)?,
            allowed_mime_types: self.allowed_mime_types.map(fields::mime_types).transpose()?,
            max_file_size: fields::size_limit(self.file_size_limit, self.max_file_size)?,
            quota_bytes: self.quota_bytes.map(|quota| quota.map(|quota| quota.0)),
            versioning: fields::versioning(self.versioning.as_deref())?,
        };
        if update == BucketUpdate::default() {
            return Err(ApiError::schema("body must have at least one property to change"));
        }
        Ok(update)
    }
}
