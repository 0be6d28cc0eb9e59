//! The error that clients read. [`crate::errors::ApiError`] renders it; here is its description.

use serde::Serialize;
use utoipa::ToSchema;

/// An error, with what else a client can act on: `bucket`, `path`, `permission`, `reason`, `limit`, `quota`, …
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::rest) struct ErrorBody {
    /// The HTTP status, as text.
    #[schema(example = "404")]
    #[serde(rename = "statusCode")]
    status_code: String,
    /// A short label: Supabase's, where it has one.
    #[schema(example = "not_found")]
    error: String,
    /// What is wrong, for people.
    #[schema(example = "Object not found")]
    message: String,
    /// What is wrong, for programs.
    #[schema(example = "OBJECT_NOT_FOUND")]
    code: String,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// Identity of the request, as in the server's log.
    request_id: String,
}
