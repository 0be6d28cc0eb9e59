//! `POST /bucket`.

use axum::response::Response;
use file_storage::{BucketConfig, BucketName, Operation};
use serde::Deserialize;
use utoipa::ToSchema;

use super::fields;
use crate::conditional;
use crate::errors::ApiError;
use crate::rest::call::{Call, Token};
use crate::rest::dialect::{BucketBody, ErrorBody};
use crate::rest::json::{self, Bytes64};

/// A bucket to be made.
#[derive(Deserialize, ToSchema)]
pub(in crate::rest) struct CreateBucket {
    /// Its name. Either this or `id` is needed.
    name: Option<String>,
    /// The same.
    id: Option<String>,
    /// `public`, `authenticated` or `private` (the default).
    policy: Option<String>,
    /// The same in other words: `true` for public, `false` for private.
    public: Option<bool>,
    /// Most bytes of one object: a number, or text like `"20MB"`.
    #[serde(default, deserialize_with = "json::nullable")]
    #[schema(value_type = Option<String>)]
    file_size_limit: Option<Option<Bytes64>>,
    /// The same.
    #[serde(default, deserialize_with = "json::nullable")]
    #[schema(value_type = Option<String>)]
    max_file_size: Option<Option<Bytes64>>,
    /// Content types that it takes, such as `image/*`.
    allowed_mime_types: Option<Vec<String>>,
    /// Most bytes of all its objects.
    #[schema(value_type = Option<String>)]
    quota_bytes: Option<Bytes64>,
    /// Whether it keeps versions: `off` (the default), `enabled` or `suspended`.
    versioning: Option<String>,
}

/// Makes a bucket, which belongs to the caller.
#[utoipa::path(
    post, path = "/bucket", tag = "Buckets", operation_id = "createBucket",
    request_body = CreateBucket,
    responses(
        (status = 201, description = "The bucket", body = BucketBody<'static>),
        (status = 400, description = "A bad name or field", body = ErrorBody),
        (status = 401, description = "No token, or a bad one", body = ErrorBody),
        (status = 403, description = "The caller may not create buckets", body = ErrorBody),
        (status = 409, description = "The name is taken", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn create(mut call: Call<Token>) -> Result<Response, ApiError> {
    call.begin(Operation::CreateBucket);
    conditional::none(call.headers())?;
    let asked: CreateBucket = json::read(call.body()).await?;
    let name = asked.name(call.dialect().is_strict_about_fields())?;
    let name = BucketName::parse_new(name, call.dialect().name_rules())?;
    call.log_target(&name, None);
    let bucket = call.storage().create_bucket(call.context(), &name, &asked.config()?).await?;
    Ok(call.dialect().bucket_created(&bucket))
}

impl CreateBucket {
    fn name(&self, is_strict: bool) -> Result<&str, ApiError> {
        match (self.name.as_deref(), self.id.as_deref()) {
            (Some(name), Some(id)) if name != id => {
                Err(ApiError::schema("body/id must be the name: a bucket has no other identity"))
            }
            (Some(name), _) => Ok(name),
            (None, Some(id)) if !is_strict => Ok(id),
            (None, _) => Err(ApiError::schema("body must have required property 'name'")),
        }
    }

    fn config(self) -> Result<BucketConfig, ApiError> {
        Ok(BucketConfig {
            policy: fields::policy(self.policy.as_deref(), self.public)?.unwrap_or_default(),
            allowed_mime_types: fields::mime_types(self.allowed_mime_types)?,
            max_file_size: fields::size_limit(self.file_size_limit, self.max_file_size)?.unwrap_or(0),
            quota_bytes: self.quota_bytes.map(|quota| quota.0),
            versioning: fields::versioning(self.versioning.as_deref())?.unwrap_or_default(),
        })
    }
}
