//! `POST /object/move`.

use axum::response::Response;
use file_storage::Operation;
use file_storage::file::PutMode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Places, put_mode, refused};
use crate::conditional;
use crate::errors::ApiError;
use crate::rest::call::{Call, Token};
use crate::rest::dialect::{ErrorBody, Uploaded};
use crate::rest::json;

/// A move to be made.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::rest) struct MoveObject {
    /// The source's bucket.
    bucket_id: String,
    /// The source's path.
    source_key: String,
    /// The target's bucket; the source's by default.
    destination_bucket: Option<String>,
    /// The target's path.
    destination_key: String,
}

/// Moves an object, also to another bucket. It keeps its id, its owner and its bytes.
#[utoipa::path(
    post, path = "/object/move", tag = "Objects", operation_id = "moveObject",
    params(("x-upsert" = Option<bool>, Header, description = "Replace an object that is there")),
    request_body = MoveObject,
    responses(
        (status = 200, description = "The object at its new place", body = Uploaded<'static>),
        (status = 400, description = "A bad path or body", body = ErrorBody),
        (status = 401, description = "No token, or a bad one", body = ErrorBody),
        (status = 403, description = "The caller may not take it away, or may not write the target", body = ErrorBody),
        (status = 404, description = "No such source or bucket", body = ErrorBody),
        (status = 409, description = "There is an object at the target already", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn r#move(mut call: Call<Token>) -> Result<Response, ApiError> {
    let only_free = call.dialect().moves_only_to_free_paths();
    let mode = if only_free { PutMode::Create } else { put_mode(call.headers()) };
    call.begin(Operation::Move(&mode));
    conditional::none(call.headers())?;
    let asked: MoveObject = json::read(call.body()).await?;
    let MoveObject { bucket_id, source_key, destination_bucket, destination_key } = &asked;
    let rules = call.dialect().path_rules();
    let places = Places::parse(bucket_id, source_key, destination_bucket.as_deref(), destination_key, rules)?;
    let (from, to) = (&places.from, &places.to);
    call.log_target(&to.0, Some(&to.1));
    let moved = call.storage().move_object(call.context(), (&from.0, &from.1), (&to.0, &to.1), mode).await;
    let moved = match moved {
        Ok(moved) => moved,
        Err(error) => return Err(refused(call, from, error).await),
    };
    call.log_size(moved.size);
    Ok(call.dialect().moved(&moved))
}
