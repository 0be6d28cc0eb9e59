//! `DELETE /object/{bucket}/{path}`, and of many at once.

use axum::response::Response;
use file_storage::{ObjectPath, Operation, StorageError};
use serde::Deserialize;
use utoipa::ToSchema;

use super::described::{ObjectInUrl, OfVersion};
use super::version;
use crate::conditional;
use crate::errors::ApiError;
use crate::rest::call::{Call, Token};
use crate::rest::dialect::{ErrorBody, ObjectBody};
use crate::rest::json;

/// Most paths of one request.
const MAX_PATHS: usize = 1000;

/// Deletes an object, or one version of it for good. What is not there counts as deleted, unless `If-Match` names an object that
/// must be. Where the bucket keeps versions, a delete marker hides the object.
#[utoipa::path(
    delete, path = "/object/{bucket}/{*path}", tag = "Objects", operation_id = "deleteObject",
    params(ObjectInUrl, OfVersion),
    responses(
        (status = 204, description = "It is gone"),
        (status = 400, description = "A bad path", body = ErrorBody),
        (status = 401, description = "No token, or a bad one", body = ErrorBody),
        (status = 403, description = "The caller may not delete it", body = ErrorBody),
        (status = 404, description = "No such bucket", body = ErrorBody),
        (status = 412, description = "Another object is there than `If-Match` names, or none", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn one(call: Call<Token>) -> Result<Response, ApiError> {
    let version = version(call.uri())?;
    call.begin(if version.is_some() { Operation::DeleteVersion } else { Operation::Delete });
    let (bucket, path) = call.object("/object/")?;
    let storage = call.storage();
    let condition = conditional::deletion(call.headers())?;
    let deleted = match version {
        None => storage.delete(call.context(), &bucket, &path, condition.as_ref()).await?.object,
        Some(version) => {
            let (context, condition) = (call.context(), condition.as_ref());
            let deleted = storage.delete_version(context, &bucket, &path, version, condition).await?;
            if deleted.is_none() && condition.is_some() {
                return Err(StorageError::PreconditionFailed { bucket, path }.into());
            }
            deleted.map(|version| version.object)
        }
    };
    call.dialect().deleted(deleted.as_ref(), bucket, path)
}

/// Objects to be deleted.
#[derive(Deserialize, ToSchema)]
pub(in crate::rest) struct DeleteObjects {
    /// Whole paths, 1 to 1000 of them; not prefixes, whatever the name says.
    prefixes: Vec<String>,
}

/// Deletes those of the objects that the caller may delete, and answers them.
#[utoipa::path(
    delete, path = "/object/{bucket}", tag = "Objects", operation_id = "deleteObjects",
    params(("bucket" = String, Path, description = "The bucket")),
    request_body = DeleteObjects,
    responses(
        (status = 200, description = "What was deleted", body = Vec<ObjectBody<'static>>),
        (status = 400, description = "A bad body", body = ErrorBody),
        (status = 401, description = "No token, or a bad one", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn many(mut call: Call<Token>) -> Result<Response, ApiError> {
    call.begin(Operation::Delete);
    let bucket = call.bucket("/object/")?;
    conditional::none(call.headers())?;
    let asked: DeleteObjects = json::read(call.body()).await?;
    let count = asked.prefixes.len();
    if count == 0 || count > MAX_PATHS {
        let words = if count == 0 { "fewer than 1" } else { "more than 1000" };
        return Err(ApiError::schema(format!("body/prefixes must NOT have {words} items")));
    }
    // A path that no object can have names none: it is left out like any other that is not there.
    let paths: Vec<_> = asked.prefixes.iter().filter_map(|path| ObjectPath::parse(path).ok()).collect();
    let deleted = match call.storage().delete_many(call.context(), &bucket, &paths).await {
        // A role that may delete nothing has nothing deleted, where it showed itself.
        Err(StorageError::AuthRequired(_) | StorageError::Unauthorized(_)) if call.has_token() => Vec::new(),
        outcome => outcome?,
    };
    let deleted: Vec<_> = deleted.into_iter().filter_map(|deletion| deletion.object).collect();
    Ok(call.dialect().deleted_many(&deleted))
}
