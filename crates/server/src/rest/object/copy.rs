//! `POST /object/copy`.

use axum::response::Response;
use file_storage::Operation;
use file_storage::storage::CopyOptions;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Places, put_mode, refused};
use crate::conditional;
use crate::errors::ApiError;
use crate::rest::body::metadata_from_header;
use crate::rest::call::{Call, Token};
use crate::rest::dialect::{ErrorBody, Uploaded};
use crate::rest::json;

/// A copy to be made.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::rest) struct CopyObject {
    /// The source's bucket.
    bucket_id: String,
    /// The source's path.
    source_key: String,
    /// The target's bucket; the source's by default.
    destination_bucket: Option<String>,
    /// The target's path.
    destination_key: String,
    /// Whether the source's user metadata is copied, too (the default); else that of the header `x-metadata` is taken.
    copy_metadata: Option<bool>,
    /// What the copy says differently.
    metadata: Option<CopyMetadata>,
}

/// What a copy says differently from its source.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::rest) struct CopyMetadata {
    /// Another `Cache-Control`.
    cache_control: Option<String>,
    /// Another content type.
    mimetype: Option<String>,
}

/// Copies an object, also to another bucket. The copy belongs to the caller.
#[utoipa::path(
    post, path = "/object/copy", tag = "Objects", operation_id = "copyObject",
    params(("x-upsert" = Option<bool>, Header, description = "Replace an object that is there")),
    request_body = CopyObject,
    responses(
        (status = 200, description = "The copy", body = Uploaded<'static>),
        (status = 400, description = "A bad path or body", body = ErrorBody),
        (status = 401, description = "No token, or a bad one", body = ErrorBody),
        (status = 403, description = "The caller may not read the source or write the target", body = ErrorBody),
        (status = 404, description = "No such source or bucket", body = ErrorBody),
        (status = 409, description = "There is an object at the target already", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn copy(mut call: Call<Token>) -> Result<Response, ApiError> {
    let mode = put_mode(call.headers());
    call.begin(Operation::Copy(&mode));
    conditional::none(call.headers())?;
    let asked: CopyObject = json::read(call.body()).await?;
    let CopyObject { bucket_id, source_key, destination_bucket, destination_key, .. } = &asked;
    let rules = call.dialect().path_rules();
    let places = Places::parse(bucket_id, source_key, destination_bucket.as_deref(), destination_key, rules)?;
    let (from, to) = (&places.from, &places.to);
    call.log_target(&to.0, Some(&to.1));
    let options = asked.options(&call)?;
    let copied = call.storage().copy(call.context(), (&from.0, &from.1), (&to.0, &to.1), mode, options).await;
    let copied = match copied {
        Ok(copied) => copied,
        Err(error) => return Err(refused(call, from, error).await),
    };
    call.log_size(copied.object.size);
    Ok(call.dialect().copied(&copied.object))
}

impl CopyObject {
    fn options(self, call: &Call<Token>) -> Result<CopyOptions, ApiError> {
        let metadata = match self.copy_metadata.unwrap_or(true) {
            true => None,
            false => Some(metadata_from_header(call.headers(), call.dialect())?.unwrap_or_default()),
        };
        let (content_type, cache_control) =
            self.metadata.map_or((None, None), |said| (said.mimetype, said.cache_control));
        for (name, value) in [("mimetype", &content_type), ("cacheControl", &cache_control)] {
            if value.as_ref().is_some_and(|value| http::HeaderValue::from_str(value).is_err()) {
                return Err(ApiError::schema(format!("body/metadata/{name} must be a header's value")));
            }
        }
        Ok(CopyOptions { content_type, cache_control, metadata, ..CopyOptions::default() })
    }
}
