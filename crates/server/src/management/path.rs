//! A parameter in the path of a route.

use axum::extract::{self, FromRequestParts};
use axum::response::Response;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::app::AppState;
use crate::errors::ApiError;
use crate::http::RequestId;

/// A parameter, decoded. What is none is refused as everything else is; axum's own extractor answers plain text, without `code` and
/// `request_id`.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for Path<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Response> {
        match extract::Path::<T>::from_request_parts(parts, app).await {
            Ok(extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => {
                let request_id = parts.extensions.get::<RequestId>().map_or("", |id| &id.0);
                Err(ApiError::schema(rejection.body_text()).render(request_id))
            }
        }
    }
}
